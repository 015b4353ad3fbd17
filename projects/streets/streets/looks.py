"""Looks: combinations of a city, light and weather. Add new looks to `LOOKS`."""

from dataclasses import dataclass

from langdg_d2.utils.errors import LangDGError
from streets.cities import GAME_CITY, INDUSTRIAL_TOWN, OLD_TOWN, SUN_METROPOLIS, City
from streets.effects_air import Fog, Glow, RainStreaks, Sensor, SnowFlakes, SunHaze
from streets.effects_camera import (
    CheapLens,
    GlassDrops,
    Jpeg,
    Sharpening,
    SmallSensor,
    WrongSettings,
)
from streets.effects_surface import Headlights, SnowCover, StreetLamps, WetGround
from streets.frame import DisplayEffect, Effect
from streets.light import Light
from streets.mesh import Emitter


@dataclass(frozen=True, kw_only=True)
class Look:
    """Appearance of a domain.

    Attributes:
        city: city of the scenes.
        light: sun, sky and lamps.
        surface: effects on surfaces, before lamps are added.
        atmosphere: effects between surfaces and camera, and in the camera.
        display: effects of the camera's software on the finished image.
    """

    city: City
    light: Light
    surface: tuple[Effect, ...] = ()
    atmosphere: tuple[Effect, ...] = ()
    display: tuple[DisplayEffect, ...] = ()


_DAY_LAMPS = {Emitter.SIGNAL: 1.0, Emitter.TAIL_LIGHT: 0.12, Emitter.DISPLAY: 0.25}
_DULL_LAMPS = {
    Emitter.SIGNAL: 1.6,
    Emitter.TAIL_LIGHT: 1.6,
    Emitter.HEADLIGHT: 1.6,
    Emitter.DISPLAY: 0.8,
    Emitter.WINDOW: 0.06,
}

_CLEAR = Light(
    sun=(1.42, 1.30, 1.08),
    elevation=(28, 62),
    ambient=(0.50, 0.56, 0.66),
    bounce=0.45,
    zenith=(0.09, 0.26, 0.70),
    horizon=(0.50, 0.68, 0.90),
    clouds=(0.15, 0.6),
    cloud=(1.25, 1.25, 1.25),
    exposure=1.12,
    emission=_DAY_LAMPS,
)
_OVERCAST = Light(
    sun=(0.42, 0.40, 0.36),
    elevation=(25, 50),
    ambient=(0.74, 0.75, 0.77),
    bounce=0.4,
    zenith=(0.50, 0.56, 0.64),
    horizon=(0.84, 0.86, 0.88),
    clouds=(0.45, 0.8),
    cloud=(0.86, 0.87, 0.88),
    exposure=1.15,
    emission=_DAY_LAMPS,
)
_FOGGY = Light(
    sun=(0.0, 0.0, 0.0),
    elevation=(30, 40),
    ambient=(0.62, 0.64, 0.66),
    bounce=0.5,
    zenith=(0.60, 0.62, 0.64),
    horizon=(0.62, 0.64, 0.66),
    clouds=(0.0, 0.0),
    cloud=(0.6, 0.6, 0.6),
    exposure=0.95,
    emission=_DULL_LAMPS,
)
_RAINY = Light(
    sun=(0.0, 0.0, 0.0),
    elevation=(30, 40),
    ambient=(0.40, 0.43, 0.48),
    bounce=0.35,
    zenith=(0.27, 0.30, 0.35),
    horizon=(0.44, 0.47, 0.52),
    clouds=(0.4, 0.7),
    cloud=(0.24, 0.26, 0.29),
    exposure=1.1,
    emission=_DULL_LAMPS,
)
_SNOWY = Light(
    sun=(0.0, 0.0, 0.0),
    elevation=(30, 40),
    ambient=(0.70, 0.73, 0.78),
    bounce=0.7,
    zenith=(0.62, 0.65, 0.69),
    horizon=(0.72, 0.74, 0.77),
    clouds=(0.3, 0.6),
    cloud=(0.66, 0.68, 0.71),
    exposure=1.3,
    emission=_DULL_LAMPS,
)
_NIGHT = Light(
    sun=(0.0, 0.0, 0.0),
    elevation=(30, 40),
    ambient=(0.030, 0.034, 0.050),
    bounce=0.8,
    zenith=(0.003, 0.004, 0.009),
    horizon=(0.022, 0.019, 0.022),
    clouds=(0.2, 0.6),
    cloud=(0.016, 0.014, 0.016),
    exposure=1.5,
    emission={
        Emitter.SIGNAL: 2.2,
        Emitter.TAIL_LIGHT: 2.6,
        Emitter.HEADLIGHT: 5.0,
        Emitter.STREET_LAMP: 5.0,
        Emitter.WINDOW: 0.55,
        Emitter.DISPLAY: 1.2,
    },
)
_DUSK = Light(
    sun=(0.62, 0.27, 0.09),
    elevation=(2, 8),
    ambient=(0.115, 0.125, 0.19),
    bounce=0.4,
    zenith=(0.025, 0.060, 0.19),
    horizon=(0.22, 0.17, 0.20),
    glow=(1.1, 0.46, 0.10),
    clouds=(0.1, 0.5),
    cloud=(0.20, 0.115, 0.15),
    exposure=1.9,
    emission={
        Emitter.SIGNAL: 1.6,
        Emitter.TAIL_LIGHT: 1.9,
        Emitter.HEADLIGHT: 2.6,
        Emitter.STREET_LAMP: 2.6,
        Emitter.WINDOW: 0.34,
        Emitter.DISPLAY: 0.8,
    },
)
_DRY_NOON = Light(
    sun=(1.62, 1.50, 1.26),
    elevation=(42, 74),
    ambient=(0.60, 0.62, 0.64),
    bounce=0.65,
    zenith=(0.22, 0.42, 0.72),
    horizon=(0.80, 0.82, 0.80),
    clouds=(0.02, 0.3),
    cloud=(1.15, 1.14, 1.10),
    exposure=1.05,
    emission=_DAY_LAMPS,
)
_SMOGGY = Light(
    sun=(1.05, 0.74, 0.40),
    elevation=(9, 20),
    ambient=(0.40, 0.39, 0.36),
    bounce=0.45,
    zenith=(0.34, 0.38, 0.40),
    horizon=(0.58, 0.52, 0.42),
    glow=(0.5, 0.32, 0.12),
    clouds=(0.0, 0.25),
    cloud=(0.55, 0.50, 0.44),
    exposure=1.15,
    emission=_DAY_LAMPS,
)
_WET_EVENING = Light(
    sun=(0.0, 0.0, 0.0),
    elevation=(30, 40),
    ambient=(0.085, 0.105, 0.155),
    bounce=0.4,
    zenith=(0.030, 0.045, 0.085),
    horizon=(0.085, 0.095, 0.135),
    clouds=(0.4, 0.8),
    cloud=(0.035, 0.045, 0.075),
    exposure=1.8,
    emission={
        Emitter.SIGNAL: 1.9,
        Emitter.TAIL_LIGHT: 2.2,
        Emitter.HEADLIGHT: 3.4,
        Emitter.STREET_LAMP: 3.4,
        Emitter.WINDOW: 0.40,
        Emitter.DISPLAY: 0.9,
    },
)

LOOKS: dict[str, Look] = {
    "clear": Look(
        city=GAME_CITY,
        light=_CLEAR,
        atmosphere=(Fog((0.0006, 0.0015), reach=250), Sensor(0.02, 0.04)),
    ),
    "other_city": Look(
        city=OLD_TOWN,
        light=_OVERCAST,
        atmosphere=(Fog((0.0015, 0.004), reach=250), Sensor(0.05, 0.18)),
    ),
    "fog": Look(
        city=GAME_CITY,
        light=_FOGGY,
        atmosphere=(Fog((0.018, 0.055)), Glow(0.8, 0.03), Sensor(0.04)),
    ),
    "night": Look(
        city=GAME_CITY,
        light=_NIGHT,
        surface=(StreetLamps(13.0), Headlights(12.0)),
        atmosphere=(Glow(0.9, 0.025), Sensor(0.10, 0.2)),
    ),
    "rain": Look(
        city=GAME_CITY,
        light=_RAINY,
        surface=(WetGround(0.4, (0.7, 1.3)),),
        atmosphere=(
            Fog((0.006, 0.014), reach=200),
            Glow(0.6, 0.02),
            RainStreaks((8, 30), 0.35),
            Sensor(0.05),
        ),
    ),
    "snow": Look(
        city=GAME_CITY,
        light=_SNOWY,
        surface=(SnowCover((0.75, 1.0), (0.15, 0.8)),),
        atmosphere=(
            Fog((0.005, 0.013), reach=250),
            Glow(0.5, 0.02),
            SnowFlakes((6, 26)),
            Sensor(0.04),
        ),
    ),
    "dusk": Look(
        city=GAME_CITY,
        light=_DUSK,
        surface=(StreetLamps(3.2), Headlights(2.4)),
        atmosphere=(
            SunHaze((0.0015, 0.004), reach=250),
            Glow(0.7, 0.025),
            Sensor(0.07, 0.12),
        ),
    ),
    "third_city": Look(
        city=SUN_METROPOLIS,
        light=_DRY_NOON,
        atmosphere=(Fog((0.0012, 0.0030), reach=300), Sensor(0.04, 0.22)),
    ),
    "noisy_camera": Look(
        city=GAME_CITY,
        light=_CLEAR,
        atmosphere=(
            Fog((0.0006, 0.0020), reach=250),
            CheapLens((0.003, 0.009), (0.0010, 0.0022), falloff=5.0, stray=0.10),
            WrongSettings((-1.3, 0.35), (-0.35, 0.40), (-0.12, 0.22)),
            SmallSensor((0.03, 0.09), 0.006),
        ),
        display=(Sharpening(0.8), Jpeg((12, 34))),
    ),
    "smoggy_industry": Look(
        city=INDUSTRIAL_TOWN,
        light=_SMOGGY,
        atmosphere=(SunHaze((0.005, 0.013), reach=350), Sensor(0.06, 0.15)),
    ),
    "wet_evening": Look(
        city=GAME_CITY,
        light=_WET_EVENING,
        surface=(WetGround(0.3, (0.4, 0.9)), StreetLamps(4.5), Headlights(5.0)),
        atmosphere=(
            Fog((0.003, 0.008), reach=250),
            Glow(0.8, 0.03),
            GlassDrops((20, 60), (0.008, 0.035)),
            Sensor(0.09, 0.15),
        ),
    ),
}


def get_look(name: str) -> Look:
    """Look up a registered look.

    Raises:
        LangDGError: if there is no such look. The message lists the known ones.
    """
    if name not in LOOKS:
        raise LangDGError(f"look {name!r} is unknown, expected one of {sorted(LOOKS)}")
    return LOOKS[name]

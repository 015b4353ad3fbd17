"""Cities: proportions, colours and population of a place, independent of the weather.

A city determines the geometry and surface colours of a scene; a look adds light and weather.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from streets.draws import Range
from streets.mesh import Color


@dataclass(frozen=True, kw_only=True)
class City:
    """Appearance and statistics of one city.

    Attributes:
        layouts: weight of every street layout.
        camera_height, camera_pitch, field_of_view: ranges in metres, degrees, degrees.
        lane_width, sidewalk_width, frontage: ranges in metres (frontage: width of a building).
        storeys: range of storey counts along urban streets.
        storey_height: range in metres.
        pitched_roofs: share of urban buildings with a visible pitched roof.
        brick: share of facades in brick.
        traffic: vehicles per 100 m of lane.
        parking: share of filled parking bays.
        pedestrians: people per 100 m of sidewalk.
        tree_gap: range of metres between street trees.
        trees: kinds of trees, of `plants.TREES`.
        lots: factors on the layouts' weights of lot kinds; 1 for kinds that are not listed.
        ribbons: share of flat-roofed urban buildings with bands of windows.
        vehicles: weight of every kind of moving vehicle.
        bonnet: share of scenes that show the ego vehicle.
        border: share of scenes whose edge pixels are labelled "out of roi".
        facades, trims, roofs, glass, paints, clothes: colours to choose from (sRGB, 0..1).
        asphalt, paving, grass, center_line: colours of the ground.
        foliage: colours of leaves.
    """

    layouts: Mapping[str, float]
    camera_height: Range
    camera_pitch: Range
    field_of_view: Range
    lane_width: Range
    sidewalk_width: Range
    frontage: Range
    storeys: tuple[int, int]
    storey_height: Range
    pitched_roofs: float
    brick: float
    traffic: float
    parking: float
    pedestrians: float
    tree_gap: Range
    trees: tuple[str, ...]
    lots: Mapping[str, float]
    ribbons: float
    vehicles: Mapping[str, float]
    bonnet: float
    border: float
    facades: tuple[Color, ...]
    trims: tuple[Color, ...]
    roofs: tuple[Color, ...]
    glass: tuple[Color, ...]
    paints: tuple[Color, ...]
    clothes: tuple[Color, ...]
    asphalt: Color
    paving: Color
    grass: Color
    center_line: Color
    foliage: tuple[Color, ...]


GAME_CITY = City(
    layouts={
        "straight": 1.2, "curve": 1.1, "intersection": 1.3,
        "avenue": 1.1, "suburb": 1.2, "tram": 0.8,
    },
    camera_height=(1.35, 1.7),
    camera_pitch=(-3.5, -0.5),
    field_of_view=(62, 72),
    lane_width=(3.2, 3.7),
    sidewalk_width=(3.0, 5.5),
    frontage=(11, 24),
    storeys=(2, 8),
    storey_height=(3.1, 3.7),
    pitched_roofs=0.12,
    brick=0.3,
    traffic=3.2,
    parking=0.4,
    pedestrians=9,
    tree_gap=(7, 19),
    trees=("broadleaved", "fir"),
    lots={},
    ribbons=0.18,
    vehicles={
        "car": 0.66, "van": 0.08, "truck": 0.1,
        "bus": 0.08, "motorcycle": 0.12, "bicycle": 0.2,
    },
    bonnet=0.12,
    border=0.0,
    facades=(
        (0.80, 0.72, 0.58), (0.71, 0.52, 0.42), (0.85, 0.82, 0.76), (0.60, 0.62, 0.64),
        (0.78, 0.60, 0.48), (0.55, 0.44, 0.38), (0.86, 0.76, 0.62), (0.64, 0.68, 0.72),
        (0.74, 0.74, 0.70), (0.68, 0.48, 0.38),
    ),
    trims=((0.90, 0.88, 0.84), (0.35, 0.33, 0.32), (0.78, 0.74, 0.66)),
    roofs=((0.50, 0.28, 0.22), (0.36, 0.34, 0.34), (0.46, 0.36, 0.30)),
    glass=((0.24, 0.29, 0.35), (0.30, 0.35, 0.40), (0.20, 0.24, 0.28)),
    paints=(
        (0.78, 0.10, 0.10), (0.88, 0.88, 0.90), (0.12, 0.12, 0.14), (0.15, 0.28, 0.62),
        (0.92, 0.72, 0.12), (0.55, 0.57, 0.60), (0.16, 0.42, 0.30), (0.85, 0.42, 0.12),
        (0.32, 0.34, 0.38), (0.70, 0.72, 0.76),
    ),
    clothes=(
        (0.75, 0.15, 0.15), (0.90, 0.90, 0.88), (0.15, 0.25, 0.55), (0.12, 0.12, 0.14),
        (0.25, 0.50, 0.30), (0.72, 0.60, 0.38), (0.50, 0.50, 0.55), (0.42, 0.28, 0.30),
        (0.30, 0.55, 0.75),
    ),
    asphalt=(0.40, 0.40, 0.41),
    paving=(0.66, 0.63, 0.59),
    grass=(0.38, 0.52, 0.20),
    center_line=(0.92, 0.74, 0.22),
    foliage=((0.27, 0.42, 0.13), (0.34, 0.48, 0.16), (0.22, 0.36, 0.15), (0.40, 0.50, 0.18)),
)  # fmt: skip

OLD_TOWN = replace(
    GAME_CITY,
    layouts={
        "straight": 1.5, "curve": 1.0, "intersection": 1.4,
        "avenue": 0.9, "suburb": 0.7, "tram": 1.0,
    },
    camera_height=(1.15, 1.3),
    camera_pitch=(-4.5, -2.5),
    field_of_view=(50, 56),
    lane_width=(2.8, 3.2),
    sidewalk_width=(2.4, 4.4),
    frontage=(9, 17),
    storeys=(3, 6),
    storey_height=(2.9, 3.3),
    pitched_roofs=0.75,
    brick=0.12,
    traffic=4.8,
    parking=0.65,
    pedestrians=16,
    tree_gap=(7, 15),
    vehicles={
        "car": 0.66, "van": 0.08, "truck": 0.06,
        "bus": 0.06, "motorcycle": 0.07, "bicycle": 0.16,
    },
    bonnet=0.75,
    border=0.5,
    facades=(
        (0.72, 0.69, 0.62), (0.78, 0.74, 0.66), (0.62, 0.60, 0.57), (0.70, 0.64, 0.52),
        (0.66, 0.68, 0.66), (0.56, 0.52, 0.48), (0.76, 0.70, 0.62), (0.60, 0.63, 0.66),
    ),
    trims=((0.82, 0.80, 0.76), (0.70, 0.68, 0.64), (0.50, 0.48, 0.46)),
    roofs=((0.44, 0.28, 0.23), (0.38, 0.30, 0.27), (0.33, 0.33, 0.35)),
    paints=(
        (0.10, 0.10, 0.12), (0.58, 0.60, 0.62), (0.30, 0.32, 0.35), (0.76, 0.77, 0.78),
        (0.14, 0.18, 0.30), (0.48, 0.12, 0.12), (0.22, 0.24, 0.26), (0.66, 0.64, 0.58),
    ),
    clothes=(
        (0.14, 0.14, 0.16), (0.25, 0.27, 0.32), (0.45, 0.42, 0.38), (0.20, 0.24, 0.36),
        (0.55, 0.20, 0.18), (0.66, 0.64, 0.60), (0.34, 0.32, 0.24), (0.80, 0.79, 0.76),
    ),
    asphalt=(0.35, 0.36, 0.38),
    paving=(0.52, 0.50, 0.50),
    grass=(0.34, 0.42, 0.22),
    center_line=(0.82, 0.82, 0.80),
    foliage=((0.22, 0.32, 0.14), (0.27, 0.36, 0.17), (0.18, 0.28, 0.13), (0.33, 0.38, 0.18)),
)  # fmt: skip

# Wide straight boulevards of a dry country: towers of glass between low blocks, palms, big cars,
# seen from a high cab through a wide lens.
SUN_METROPOLIS = replace(
    GAME_CITY,
    layouts={
        "straight": 1.1, "curve": 0.6, "intersection": 1.5,
        "avenue": 2.2, "suburb": 1.1, "tram": 0.7,
    },
    camera_height=(1.9, 2.5),
    camera_pitch=(-6.5, -3.0),
    field_of_view=(80, 94),
    lane_width=(3.5, 4.1),
    sidewalk_width=(3.0, 5.0),
    frontage=(14, 34),
    storeys=(2, 13),
    storey_height=(3.4, 4.1),
    pitched_roofs=0.04,
    brick=0.05,
    traffic=4.4,
    parking=0.55,
    pedestrians=12,
    tree_gap=(7, 16),
    trees=("palm", "broadleaved"),
    lots={"wall": 1.5, "fence": 1.4, "park": 1.2},
    ribbons=0.55,
    vehicles={
        "car": 0.6, "van": 0.12, "truck": 0.14,
        "bus": 0.1, "motorcycle": 0.14, "bicycle": 0.16,
    },
    bonnet=0.3,
    border=0.0,
    facades=(
        (0.90, 0.87, 0.80), (0.84, 0.74, 0.62), (0.92, 0.91, 0.88), (0.72, 0.80, 0.82),
        (0.88, 0.70, 0.60), (0.80, 0.82, 0.80), (0.62, 0.66, 0.70), (0.90, 0.82, 0.66),
    ),
    trims=((0.94, 0.93, 0.90), (0.62, 0.66, 0.68), (0.84, 0.78, 0.68)),
    roofs=((0.66, 0.40, 0.28), (0.60, 0.56, 0.50), (0.72, 0.52, 0.38)),
    glass=((0.26, 0.46, 0.52), (0.40, 0.56, 0.62), (0.30, 0.38, 0.50), (0.20, 0.34, 0.36)),
    paints=(
        (0.94, 0.94, 0.93), (0.82, 0.83, 0.84), (0.70, 0.66, 0.58), (0.10, 0.10, 0.11),
        (0.60, 0.16, 0.12), (0.88, 0.86, 0.80), (0.24, 0.36, 0.48), (0.46, 0.48, 0.50),
    ),
    clothes=(
        (0.92, 0.91, 0.88), (0.88, 0.42, 0.30), (0.30, 0.62, 0.66), (0.90, 0.76, 0.36),
        (0.18, 0.20, 0.26), (0.72, 0.72, 0.74), (0.56, 0.30, 0.46),
    ),
    asphalt=(0.55, 0.53, 0.50),
    paving=(0.78, 0.72, 0.62),
    grass=(0.62, 0.55, 0.32),
    center_line=(0.94, 0.70, 0.14),
    foliage=((0.40, 0.46, 0.22), (0.34, 0.42, 0.24), (0.48, 0.48, 0.26), (0.30, 0.40, 0.20)),
)  # fmt: skip

# Sheds of brick and sheet metal behind walls and fences, lorries, worn grey streets.
INDUSTRIAL_TOWN = replace(
    GAME_CITY,
    layouts={
        "straight": 1.5, "curve": 1.2, "intersection": 1.1,
        "avenue": 0.6, "suburb": 1.2, "tram": 0.7,
    },
    camera_height=(1.45, 1.9),
    camera_pitch=(-2.5, 0.5),
    field_of_view=(56, 66),
    lane_width=(3.3, 4.0),
    sidewalk_width=(2.2, 3.8),
    frontage=(15, 36),
    storeys=(1, 4),
    storey_height=(3.8, 4.8),
    pitched_roofs=0.45,
    brick=0.5,
    traffic=4.0,
    parking=0.5,
    pedestrians=9,
    tree_gap=(10, 26),
    lots={"wall": 2.2, "fence": 2.4, "park": 0.9},
    ribbons=0.45,
    vehicles={
        "car": 0.54, "van": 0.14, "truck": 0.24,
        "bus": 0.07, "motorcycle": 0.16, "bicycle": 0.16,
    },
    bonnet=0.2,
    border=0.2,
    facades=(
        (0.52, 0.47, 0.42), (0.60, 0.56, 0.50), (0.44, 0.48, 0.50), (0.66, 0.60, 0.50),
        (0.50, 0.38, 0.31), (0.42, 0.46, 0.42), (0.58, 0.60, 0.60),
    ),
    trims=((0.36, 0.34, 0.32), (0.55, 0.53, 0.50), (0.28, 0.34, 0.38)),
    roofs=((0.40, 0.30, 0.26), (0.42, 0.43, 0.44), (0.48, 0.36, 0.28)),
    glass=((0.30, 0.33, 0.33), (0.40, 0.42, 0.40), (0.22, 0.25, 0.26)),
    paints=(
        (0.84, 0.83, 0.78), (0.30, 0.32, 0.34), (0.20, 0.30, 0.44), (0.56, 0.20, 0.14),
        (0.80, 0.62, 0.20), (0.40, 0.42, 0.38), (0.62, 0.62, 0.60),
    ),
    clothes=(
        (0.90, 0.48, 0.12), (0.24, 0.28, 0.40), (0.36, 0.34, 0.32), (0.82, 0.82, 0.30),
        (0.56, 0.52, 0.46), (0.16, 0.16, 0.18),
    ),
    asphalt=(0.36, 0.34, 0.33),
    paving=(0.50, 0.47, 0.44),
    grass=(0.42, 0.44, 0.24),
    center_line=(0.80, 0.79, 0.74),
    foliage=((0.28, 0.33, 0.16), (0.34, 0.37, 0.18), (0.24, 0.29, 0.16)),
)  # fmt: skip

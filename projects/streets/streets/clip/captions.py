"""Captions of crops: their wording, and whether they are true of a class in a look."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import open_clip

from langdg_d2.structures import CITYSCAPES_19
from streets.clip.appearances import LOOK_NAMES
from streets.draws import chance, pick

UNKNOWN = -1  # an unnamed look, or a part that a caption leaves out


class Meaning(NamedTuple):
    """Meaning of a caption; `UNKNOWN` for a part that it leaves out.

    Attributes:
        class_id: train id.
        look: index in `LOOK_NAMES`.
    """

    class_id: int
    look: int


# Synonyms of classes, and phrases for conditions after the noun.
SYNONYMS: dict[str, tuple[str, ...]] = {
    "road": ("street", "asphalt road"),
    "sidewalk": ("pavement", "footpath"),
    "building": ("house", "facade"),
    "vegetation": ("tree", "bush", "trees"),
    "terrain": ("grass", "lawn"),
    "person": ("pedestrian",),
    "rider": ("cyclist", "person riding a bike"),
    "car": ("automobile", "passenger car"),
    "truck": ("lorry",),
    "bus": ("coach",),
    "train": ("tram",),
    "motorcycle": ("motorbike",),
    "bicycle": ("bike",),
    "pole": ("post",),
    "traffic light": ("traffic signal",),
    "traffic sign": ("road sign",),
}
PHRASES: dict[str, tuple[str, ...]] = {
    "foggy": ("in fog", "in the fog", "in thick fog"),
    "hazy": ("in haze",),
    "overcast": ("under an overcast sky", "on a cloudy day"),
    "drizzly": ("in drizzle",),
    "rain-soaked": ("in rain", "in the rain", "on a rainy day"),
    "storm-lashed": ("in a storm", "in heavy rain"),
    "snow-covered": ("in snow", "in the snow", "on a snowy day"),
    "blizzard-swept": ("in a blizzard",),
    "frosty": ("in frost",),
    "dust-veiled": ("in dust", "in a dust storm"),
    "dawn-lit": ("at dawn", "at sunrise"),
    "sunlit": ("in sunshine", "on a sunny day", "in clear weather"),
    "backlit": ("against the sun",),
    "golden-hour": ("in the golden hour", "at sunset"),
    "dusky": ("at dusk", "at twilight"),
    "moonlit": ("by moonlight",),
    "night-time": ("at night", "in the night", "in the dark"),
    "streetlamp-lit": ("under street lamps",),
    "headlight-lit": ("in the headlights",),
    "dimly lit": ("in dim light",),
}

_SENTENCES = ("{}", "a {}", "a photo of a {}.", "a photo of the {}.", "a picture of a {}.")
_SCENES = ("photo", "photo of a street", "picture", "scene", "image")


def draw_caption(meaning: Meaning, rng: np.random.Generator) -> str:
    """Draw a wording of a caption.

    Half of the captions use CLIP's 80 sentence templates, which mining and zero-shot tests average
    over; the others use short everyday ones.
    """
    look = None if meaning.look == UNKNOWN else LOOK_NAMES[meaning.look]
    if meaning.class_id == UNKNOWN:
        noun = pick(rng, _SCENES)
    else:
        name = CITYSCAPES_19.names[meaning.class_id]
        # The class name remains the most frequent word.
        noun = name if chance(rng, 0.7) else pick(rng, (name, *SYNONYMS.get(name, ())))
    if look is not None:
        phrases = PHRASES.get(look, (f"in {look}",))
        noun = f"{look} {noun}" if chance(rng, 0.7) else f"{noun} {pick(rng, phrases)}"
    if chance(rng, 0.5):
        return pick(rng, open_clip.OPENAI_IMAGENET_TEMPLATES)(noun)
    return pick(rng, _SENTENCES).format(noun)


def meanings_of(images: Sequence[Meaning]) -> list[Meaning]:
    """Return the distinct captions of a batch.

    They state class and look of every image, every class, and every look that occurs. Images in an
    unnamed look have only the caption of their class.
    """
    named = [image for image in images if image.look != UNKNOWN]
    classes = [Meaning(k, UNKNOWN) for k in range(len(CITYSCAPES_19))]
    looks = [Meaning(UNKNOWN, image.look) for image in named]
    return list(dict.fromkeys([*named, *classes, *looks]))


def truth(images: Sequence[Meaning], captions: Sequence[Meaning]) -> np.ndarray:
    """Return whether captions are true of images: (images, captions) int8, 1, -1 or 0 if unknown.

    It is unknown whether an unnamed look, which may resemble any other, is the one in a caption.
    """
    classes, looks = np.array(images).T[:, :, None]
    said_classes, said_looks = np.array(captions).T[:, None]
    class_false = (said_classes != UNKNOWN) & (said_classes != classes)
    look_false = (said_looks != UNKNOWN) & (said_looks != looks) & (looks != UNKNOWN)
    unclear = (said_looks != UNKNOWN) & (looks == UNKNOWN)
    return np.where(class_false | look_false, -1, np.where(unclear, 0, 1)).astype(np.int8)

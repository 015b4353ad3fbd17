"""Scenes by number: the same (seed, look, index, size) always gives the same picture."""

import zlib

import numpy as np

from streets.looks import get_look
from streets.render import Rendering, render
from streets.scenes import build_scene


def draw_sample(*, seed: int, look: str, index: int, size: tuple[int, int]) -> Rendering:
    """Build and render a scene by number.

    The scene depends only on the seed, the index and the look's city, so looks of the same city
    show the same scene; light and weather also depend on the look.

    Args:
        seed: seed of the collection.
        look: name in `looks.LOOKS`.
        index: number of the scene, from 0.
        size: (height, width) of the image.

    Raises:
        LangDGError: if there is no such look.
    """
    chosen = get_look(look)
    scene = build_scene(chosen.city, np.random.default_rng([seed, index]))
    weather = np.random.default_rng([seed, index, zlib.crc32(look.encode())])
    return render(scene, chosen, size, weather)

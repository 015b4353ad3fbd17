"""A contact sheet of several scenes in different looks, with their labels."""

from collections.abc import Sequence

import cv2
import numpy as np

from streets.classes import colorize
from streets.sample import draw_sample

_MARGIN = 4
_CAPTION = 22


def _cell(picture: np.ndarray, caption: str) -> np.ndarray:
    height, width = picture.shape[:2]
    cell = np.full((height + _CAPTION + _MARGIN, width + _MARGIN, 3), 255, np.uint8)
    cell[_CAPTION : _CAPTION + height, :width] = picture
    cv2.putText(
        cell, caption, (4, _CAPTION - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA
    )
    return cell


def contact_sheet(
    *, looks: Sequence[str], seed: int, size: tuple[int, int], scenes: int
) -> np.ndarray:
    """Draw the first scenes in the given looks.

    Args:
        looks: names in `looks.LOOKS`.
        seed: seed of the scenes.
        size: (height, width) of each picture.
        scenes: number of rows.

    Returns:
        (H, W, 3) uint8 RGB, with a row per scene and the labels below the image of each look.
    """
    rows = []
    for index in range(scenes):
        cells = []
        for look in looks:
            drawn = draw_sample(seed=seed, look=look, index=index, size=size)
            picture = np.vstack([drawn.image, colorize(drawn.label_ids)])
            cells.append(_cell(picture, f"{look}, scene {index}"))
        rows.append(np.hstack(cells))
    return np.vstack(rows)

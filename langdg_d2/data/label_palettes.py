"""Which ids the indices of a palette image stand for.

Programs that store images without loss sort and shorten palettes, and store grey images of few
values as palettes, so that an index alone says nothing. What holds in spite of them:

1. Colours of the data set at the ids they belong to: the indices are the ids.
2. Grey colours: the grey values are the ids.
3. Colours of the data set elsewhere, each of one class alone: the colours tell the ids.

Palettes of which none of these holds, or 2 and 3 contradict each other, are refused.
"""

import numpy as np
import numpy.typing as npt

from ..structures import LabelEncoding
from ..structures.label_maps import NO_COLOR
from ..utils.errors import LangDGError

_INDICES = 1 << 8
# Greys of ids without a class, unless a class of the data set has them.
_NEUTRAL = ((0, 0, 0), (255, 255, 255))


def ids_of_indices(
    indices: npt.NDArray[np.uint8], palette: npt.NDArray[np.integer], encoding: LabelEncoding
) -> npt.NDArray[np.uint8]:
    """Raw ids of a palette image.

    Args:
        indices: (H, W) as stored.
        palette: (N, 3) RGB colours, N at most 256.
        encoding: what raw ids mean, and their colours.

    Returns:
        (H, W); the argument itself where the indices are the ids.

    Raises:
        LangDGError: if the palette leaves open which ids are meant; names an index and its colour.
    """
    colors = np.full((_INDICES, 3), NO_COLOR)
    colors[: len(palette)] = palette
    usual = _is_usual(colors, encoding)
    if usual[sorted(encoding.colors)].all() and encoding.colors:
        # Fast path: the full palette of the data set.
        return indices
    used = np.flatnonzero(np.bincount(indices.ravel(), minlength=_INDICES))
    if encoding.colors and usual[used].all():
        return indices
    readings = [_by_grey(colors[used])]
    if encoding.colors:
        readings.append(_by_color(colors[used], encoding))
    elif readings == [None]:
        return indices
    known = [ids for ids in readings if ids is not None and set(ids) <= set(encoding.raw_to_train)]
    meanings = {tuple(encoding.raw_to_train[raw] for raw in ids) for ids in known}
    if len(meanings) != 1:
        raise LangDGError(_unclear(used.tolist(), colors[used].tolist(), encoding))
    table = np.zeros(_INDICES, np.uint8)
    table[used] = known[0]
    return table[indices]


def _is_usual(colors: npt.NDArray[np.integer], encoding: LabelEncoding) -> npt.NDArray[np.bool_]:
    """Of every index whether its colour is one that the id of the same number may have.

    An id without a class may have any colour that no class has, but grey values, which may be ids.
    """
    there = colors[:, 0] != NO_COLOR
    of_classes = encoding.color_table[~encoding.is_ignored]
    of_class = (colors[:, None] == of_classes).all(axis=2).any(axis=1)
    neutral = np.logical_or.reduce([(colors == color).all(axis=1) for color in _NEUTRAL])
    free = ~of_class & (neutral | (colors != colors[:, :1]).any(axis=1))
    usual = (colors == encoding.color_table).all(axis=1) | (free & encoding.is_ignored)
    return np.asarray(usual & there)


def _by_grey(colors: npt.NDArray[np.integer]) -> list[int] | None:
    """Grey values of colours, None if one of them is not grey."""
    return colors[:, 0].tolist() if (colors == colors[:, :1]).all() else None


def _by_color(colors: npt.NDArray[np.integer], encoding: LabelEncoding) -> list[int] | None:
    """Ids of colours, None if one of them belongs to no id or to ids of several classes."""
    owners = [_owners(color, encoding) for color in colors.tolist()]
    one_class = all(len({encoding.raw_to_train[raw] for raw in ids}) == 1 for ids in owners)
    return [ids[0] for ids in owners] if one_class else None


def _owners(color: list[int], encoding: LabelEncoding) -> list[int]:
    if NO_COLOR in color:
        return []
    return np.flatnonzero((encoding.color_table == color).all(axis=1)).tolist()


def _unclear(used: list[int], colors: list[list[int]], encoding: LabelEncoding) -> str:
    cases = [(k, color, _owners(color, encoding)) for k, color in zip(used, colors, strict=True)]
    index, color, ids = next((case for case in cases if len(case[2]) != 1), cases[0])
    owner = f"that of the ids {ids}" if ids else "that of no id"
    what = f"has the colour {tuple(color)}, {owner}" if NO_COLOR not in color else "has no colour"
    return (
        f"its palette is not that of {encoding.name}, and its index {index} {what}: nothing says "
        "which id is meant. Use the original file; if the indices are the ids, store them as a "
        "grey image"
    )

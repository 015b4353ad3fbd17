"""Boxes that show a class in a labelled scene: around objects, or windows on surfaces.

Boxes have sizes similar to the patches of mining and segmentation: sides of 24 to 160 pixels in
scenes of height 256, and proportional for other heights.
"""

import cv2
import numpy as np

from langdg_d2.structures import CITYSCAPES_19
from streets.classes import to_train_ids

# Minimum share of a box that the class of its object must cover; thin objects never fill a box.
_THIN = {"pole": 0.10, "traffic light": 0.12, "traffic sign": 0.15, "fence": 0.25}
_OBJECT_SHARE = 0.28

# Shown by windows instead, which these classes cover by more than half; a window inside a truck
# would not be recognisable.
_SURFACES = ("road", "sidewalk", "building", "wall", "vegetation", "terrain", "sky")
_SURFACE_SHARE = 0.55
# Surfaces that are too small for random windows in most scenes, and thus also shown by boxes.
_NARROW = {"sidewalk": 0.45, "wall": 0.35, "terrain": 0.4}

_SIDES = (24, 160)  # pixels at a height of 256
_LEAST_PIXELS = 45  # per object, at a height of 256
_OBJECTS_PER_CLASS = 4
_WINDOWS = 120  # attempts per scene
_WINDOWS_PER_CLASS = 3

_NAMES = CITYSCAPES_19.names
_SURFACE_IDS = frozenset(_NAMES.index(name) for name in _SURFACES)


def find_boxes(label_ids: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Find boxes that clearly show a single class.

    Args:
        label_ids: (H, W) uint8 Cityscapes label ids.
        rng: draws context and windows; it is advanced.

    Returns:
        (N, 5) int16: train id, top, left, bottom, right (exclusive), inside the image.
    """
    labels = to_train_ids(label_ids)
    found = [box for k in np.unique(labels) if k < len(_NAMES) for box in _objects(labels, k, rng)]
    found += _windows(labels, rng)
    return np.array(found, np.int16).reshape(-1, 5)


def class_share(labels: np.ndarray, box: tuple[int, int, int, int], class_id: int) -> float:
    """Return the share of a box (top, left, bottom, right) with a class in train ids (H, W)."""
    top, left, bottom, right = box
    return float((labels[top:bottom, left:right] == class_id).mean())


def _objects(labels: np.ndarray, class_id: int, rng: np.random.Generator) -> list[tuple[int, ...]]:
    """Return boxes around the largest connected regions of a class, with some context."""
    name = _NAMES[class_id]
    if name in _SURFACES and name not in _NARROW:
        return []
    least_share = (_THIN | _NARROW).get(name, _OBJECT_SHARE)
    scale = labels.shape[0] / 256
    stats = cv2.connectedComponentsWithStats((labels == class_id).astype(np.uint8))[2][1:]
    stats = stats[stats[:, cv2.CC_STAT_AREA] >= _LEAST_PIXELS * scale**2]
    largest = stats[np.argsort(-stats[:, cv2.CC_STAT_AREA])][:_OBJECTS_PER_CLASS]
    found = []
    for x, y, width, height, _ in largest.tolist():
        room = rng.uniform(1.05, 1.3)
        # Of regions longer than the maximum, a random part is shown.
        center = (_middle(y, height, scale, rng), _middle(x, width, scale, rng))
        box = _inside(labels.shape, center, (height * room, width * room), scale)
        if class_share(labels, box, class_id) >= least_share:
            found.append((int(class_id), *box))
    return found


def _middle(start: int, length: int, scale: float, rng: np.random.Generator) -> float:
    slack = max(length - _SIDES[1] * scale, 0) / 2
    return start + length / 2 + rng.uniform(-slack, slack)


def _inside(
    shape: tuple[int, ...], center: tuple[float, float], sides: tuple[float, float], scale: float
) -> tuple[int, int, int, int]:
    """Return the box of allowed size around a centre, moved into the image."""
    ends = []
    for middle, side, limit in zip(center, sides, shape, strict=True):
        length = min(round(float(np.clip(side, _SIDES[0] * scale, _SIDES[1] * scale))), limit)
        start = min(max(round(middle - length / 2), 0), limit - length)
        ends.append((start, start + length))
    (top, bottom), (left, right) = ends
    return top, left, bottom, right


def _windows(labels: np.ndarray, rng: np.random.Generator) -> list[tuple[int, ...]]:
    """Return random windows that are more than half filled by one class, a few per class."""
    scale = labels.shape[0] / 256
    found: dict[int, list[tuple[int, ...]]] = {}
    for _ in range(_WINDOWS):
        side = 40 * scale * 4 ** rng.random()
        stretch = 2 ** rng.uniform(-0.5, 0.5)
        center = (rng.uniform(0, labels.shape[0]), rng.uniform(0, labels.shape[1]))
        box = _inside(labels.shape, center, (side / stretch, side * stretch), scale)
        top, left, bottom, right = box
        counts = np.bincount(labels[top:bottom:2, left:right:2].ravel(), minlength=256)
        class_id = int(counts.argmax())
        kept = found.setdefault(class_id, [])
        if (
            class_id in _SURFACE_IDS
            and len(kept) < _WINDOWS_PER_CLASS
            and class_share(labels, box, class_id) >= _SURFACE_SHARE
        ):
            kept.append((class_id, *box))
    return [box for boxes in found.values() for box in boxes]

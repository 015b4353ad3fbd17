"""Pool of street scenes for CLIP's training, and the boxes in them that show a class.

The pool is three memory-mapped arrays in a folder, written by several processes and resumable:
images, boxes, and which scenes are done. Crops are cut when they are needed, so that no two are
quite the same.
"""

import json
from dataclasses import asdict, dataclass, fields
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from tqdm import tqdm

from langdg_d2.structures import CITYSCAPES_19
from langdg_d2.utils.file_io import write_atomically
from streets.clip.appearances import WORLD_LOOKS
from streets.clip.boxes import find_boxes
from streets.draws import pick_weighted
from streets.sample import draw_sample

BOXES_PER_SCENE = 40
_BOX_VALUES = 5  # class, top, left, bottom, right
_EMPTY = -1
_SETTINGS_FILE = "pool.json"


@dataclass(frozen=True, kw_only=True)
class PoolSettings:
    """What decides a pool's content.

    Attributes:
        scenes: how many.
        seed: of `draw_sample`; no benchmark may use it.
        height, width: of the scenes, pixels.
    """

    scenes: int
    seed: int
    height: int = 256
    width: int = 512


@dataclass(frozen=True)
class Pool:
    """Scenes with boxes, ready to be cut.

    Attributes:
        images: (N, H, W, 3) uint8 RGB.
        boxes: (N, B, 5) int16: train id or -1, top, left, bottom, right (exclusive).
        looks: (N,) index of the scene's rendered look in `look_names`.
        look_names: of the rendered looks.
    """

    images: np.ndarray
    boxes: np.ndarray
    looks: np.ndarray
    look_names: tuple[str, ...] = tuple(WORLD_LOOKS)

    def of_class(self, class_id: int, bases: tuple[str, ...]) -> np.ndarray:
        """(M, 2) scene and box numbers that show a class in one of the rendered looks."""
        wanted = [self.look_names.index(base) for base in bases]
        shown = (self.boxes[..., 0] == class_id) & np.isin(self.looks, wanted)[:, None]
        return np.argwhere(shown)

    def cut(
        self, place: np.ndarray, size: int, rng: np.random.Generator | None = None
    ) -> np.ndarray:
        """The crop of a box, (size, size, 3) uint8, whatever the box's aspect.

        Args:
            place: scene and box number.
            size: side in pixels.
            rng: moves and scales the box a little and mirrors at random; None takes it as it is.
        """
        scene, number = place
        box = self.boxes[scene, number, 1:].astype(float)
        image = self.images[scene]
        if rng is not None:
            sides = np.tile(box[2:] - box[:2], 2)
            box += sides * (np.tile(rng.uniform(-0.06, 0.06, 2), 2) + rng.uniform(-0.06, 0.06, 4))
        limits = (*image.shape[:2], *image.shape[:2])
        top, left, bottom, right = np.clip(np.rint(box), 0, limits).astype(int).tolist()
        crop = cv2.resize(
            image[top:bottom, left:right],
            (size, size),
            interpolation=cv2.INTER_AREA if bottom - top > size else cv2.INTER_LINEAR,
        )
        return crop[:, ::-1] if rng is not None and rng.random() < 0.5 else crop


def scene_look(settings: PoolSettings, index: int) -> str:
    """The rendered look of a scene of the pool."""
    return pick_weighted(np.random.default_rng([settings.seed, index]), WORLD_LOOKS)


def draw_pool(folder: Path, settings: PoolSettings, *, workers: int) -> None:
    """Draw the scenes of a pool that are not there yet.

    Args:
        folder: of the pool's files; 0.39 MB a scene of 256 x 512.
        settings: what it contains.
        workers: processes; the content does not depend on it.

    Raises:
        FileExistsError: if the folder holds a pool with other settings.
    """
    _claim(folder, settings)
    missing = np.flatnonzero(~_open(folder, "done")).tolist()
    if not missing:
        return
    draw = partial(_draw_scene, folder, settings)
    with tqdm(total=len(missing), unit="scene", desc=folder.name, disable=None) as progress:
        if workers <= 1:
            for index in missing:
                draw(index)
                progress.update()
            return
        with get_context("spawn").Pool(workers, start_worker) as processes:
            for _ in processes.imap_unordered(draw, missing, chunksize=8):
                progress.update()


def start_worker(*_: int) -> None:
    """Prepare a process that works beside others: they already share the cores."""
    cv2.setNumThreads(1)


def open_pool(folder: Path) -> Pool:
    """Open a pool that `draw_pool` has made; images are read when they are needed.

    Raises:
        FileNotFoundError: if it is not there or not complete.
    """
    record = folder / _SETTINGS_FILE
    if not record.is_file() or not _open(folder, "done").all():
        raise FileNotFoundError(f"{folder} holds no complete pool of scenes; draw_pool makes it")
    content = json.loads(record.read_text())
    settings = PoolSettings(**{field.name: content[field.name] for field in fields(PoolSettings)})
    names = list(WORLD_LOOKS)
    looks = [names.index(scene_look(settings, n)) for n in range(settings.scenes)]
    return Pool(_open(folder, "images"), np.array(_open(folder, "boxes")), np.array(looks))


def draw_look(look: str, settings: PoolSettings) -> Pool:
    """A pool in memory of scenes in one rendered look, whichever it is."""
    drawn = [_draw(look, settings, index) for index in range(settings.scenes)]
    images, boxes = zip(*drawn, strict=True)
    looks = np.zeros(settings.scenes, int)
    return Pool(np.stack(images), np.stack(boxes), looks, look_names=(look,))


def _claim(folder: Path, settings: PoolSettings) -> None:
    record = folder / _SETTINGS_FILE
    wanted = asdict(settings) | {"world_looks": WORLD_LOOKS}
    if record.is_file():
        if (found := json.loads(record.read_text())) != wanted:
            raise FileExistsError(
                f"{record} is of a pool with other settings: {found}, wanted {wanted}; choose "
                "another output folder or delete that one"
            )
        return
    folder.mkdir(parents=True, exist_ok=True)
    shapes = {
        "images": ((settings.scenes, settings.height, settings.width, 3), np.uint8),
        "boxes": ((settings.scenes, BOXES_PER_SCENE, _BOX_VALUES), np.int16),
        "done": ((settings.scenes,), np.bool_),
    }
    for name, (shape, dtype) in shapes.items():
        np.lib.format.open_memmap(_file(folder, name), "w+", dtype, shape).flush()
    write_atomically(record, (json.dumps(wanted, indent=2) + "\n").encode())


def _open(folder: Path, name: str, mode: Literal["r", "r+"] = "r") -> np.ndarray:
    return np.load(_file(folder, name), mmap_mode=mode)


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.npy"


def _draw_scene(folder: Path, settings: PoolSettings, index: int) -> None:
    image, boxes = _draw(scene_look(settings, index), settings, index)
    _open(folder, "images", "r+")[index] = image
    _open(folder, "boxes", "r+")[index] = boxes
    _open(folder, "done", "r+")[index] = True


def _draw(look: str, settings: PoolSettings, index: int) -> tuple[np.ndarray, np.ndarray]:
    """A scene (H, W, 3) and its boxes (B, 5)."""
    size = (settings.height, settings.width)
    drawn = draw_sample(seed=settings.seed, look=look, index=index, size=size)
    rng = np.random.default_rng([settings.seed, index, len(CITYSCAPES_19)])
    found = find_boxes(drawn.label_ids, rng)
    kept = found[rng.permutation(len(found))[:BOXES_PER_SCENE]]
    boxes = np.full((BOXES_PER_SCENE, _BOX_VALUES), _EMPTY, np.int16)
    boxes[: len(kept)] = kept
    return drawn.image, boxes

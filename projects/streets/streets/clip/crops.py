"""Pool of street scenes for CLIP training, with boxes that show a class.

The pool consists of three memory-mapped arrays in a folder: images, boxes and finished scenes. It
can be written by several processes and resumed. Crops are cut on demand with random changes.
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
    """Settings that determine the content of a pool.

    Attributes:
        scenes: number of scenes.
        seed: seed for `draw_sample`, which benchmarks must not use.
        height, width: size of the scenes in pixels.
    """

    scenes: int
    seed: int
    height: int = 256
    width: int = 512


@dataclass(frozen=True)
class Pool:
    """Scenes with boxes for crops.

    Attributes:
        images: (N, H, W, 3) uint8 RGB.
        boxes: (N, B, 5) int16: train id or -1, top, left, bottom, right (exclusive).
        looks: (N,) index of each scene's rendered look in `look_names`.
        look_names: names of the rendered looks.
    """

    images: np.ndarray
    boxes: np.ndarray
    looks: np.ndarray
    look_names: tuple[str, ...] = tuple(WORLD_LOOKS)

    def of_class(self, class_id: int, bases: tuple[str, ...]) -> np.ndarray:
        """Return scene and box numbers (M, 2) that show a class in one of the rendered looks."""
        wanted = [self.look_names.index(base) for base in bases]
        shown = (self.boxes[..., 0] == class_id) & np.isin(self.looks, wanted)[:, None]
        return np.argwhere(shown)

    def cut(
        self, place: np.ndarray, size: int, rng: np.random.Generator | None = None
    ) -> np.ndarray:
        """Cut the crop of a box, resized to (size, size, 3) uint8.

        Args:
            place: scene and box number.
            size: side in pixels.
            rng: slightly moves and scales the box and mirrors at random; None leaves it unchanged.
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
    """Return the rendered look of a scene of the pool."""
    return pick_weighted(np.random.default_rng([settings.seed, index]), WORLD_LOOKS)


def draw_pool(folder: Path, settings: PoolSettings, *, workers: int) -> None:
    """Draw the missing scenes of a pool.

    Args:
        folder: folder of the pool, with 0.39 MB per scene of 256 x 512 pixels.
        settings: settings of the pool.
        workers: number of processes, which does not affect the content.

    Raises:
        FileExistsError: if the folder has a pool with other settings.
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
    """Limit threads in a worker process, because workers already share the cores."""
    cv2.setNumThreads(1)


def open_pool(folder: Path) -> Pool:
    """Open a pool drawn by `draw_pool`; images are read on demand.

    Raises:
        FileNotFoundError: if it is missing or incomplete.
    """
    record = folder / _SETTINGS_FILE
    if not record.is_file() or not _open(folder, "done").all():
        raise FileNotFoundError(f"{folder} has no complete pool of scenes; run draw_pool first")
    content = json.loads(record.read_text())
    settings = PoolSettings(**{field.name: content[field.name] for field in fields(PoolSettings)})
    names = list(WORLD_LOOKS)
    looks = [names.index(scene_look(settings, n)) for n in range(settings.scenes)]
    return Pool(_open(folder, "images"), np.array(_open(folder, "boxes")), np.array(looks))


def draw_look(look: str, settings: PoolSettings) -> Pool:
    """Draw a pool of scenes in a rendered look in memory."""
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
                f"{record} belongs to a pool with other settings: {found}, expected {wanted}; "
                "choose another output folder or delete that one"
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
    """Draw a scene (H, W, 3) and its boxes (B, 5)."""
    size = (settings.height, settings.width)
    drawn = draw_sample(seed=settings.seed, look=look, index=index, size=size)
    rng = np.random.default_rng([settings.seed, index, len(CITYSCAPES_19)])
    found = find_boxes(drawn.label_ids, rng)
    kept = found[rng.permutation(len(found))[:BOXES_PER_SCENE]]
    boxes = np.full((BOXES_PER_SCENE, _BOX_VALUES), _EMPTY, np.int16)
    boxes[: len(kept)] = kept
    return drawn.image, boxes

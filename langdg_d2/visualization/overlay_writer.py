"""Pictures of the images that a model segments best and worst, made while it is evaluated."""

import bisect
import io
import logging
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import torch
from detectron2.evaluation import DatasetEvaluator
from detectron2.utils import comm
from PIL import Image as pillow
from torch import Tensor

from ..evaluation import classes_to_score, count_image, predicted_classes, score_image
from ..structures import LabelSpace
from ..utils.errors import LangDGError
from ..utils.file_io import write_atomically
from .event_images import put_picture
from .palettes import palette_named
from .sem_seg import Image, draw_sem_seg, encode, stacked, titled

BEST, WORST = "best", "worst"

_JPEG_QUALITY = 85
_TITLE_SHARE = 20  # a title is this fraction of the longest side high
_LEAST_TITLE = 12  # pixels
_GAP = 4


class _Candidate(NamedTuple):
    """An image that may be among the best or worst; in order of its scores."""

    mean_iou: float  # percent
    file_name: str  # makes the order one without ties
    pixel_accuracy: float  # percent
    image: str  # its name
    picture: bytes  # JPEG


class OverlayWriter(DatasetEvaluator):
    """Saves the images with the best and worst mean IoU, ground truth and prediction.

    An image's mean IoU is over the scored classes that its ground truth has; images without any
    are not pictured. As many pictures as are asked for are kept in memory.
    """

    def __init__(
        self,
        *,
        output_dir: str,
        dataset_name: str,
        classes: LabelSpace,
        scored_classes: str | int | Sequence[str] | None = None,
        best: int,
        worst: int,
        longest_side: int = 640,
        palette: str = "classes",
        alpha: float = 0.6,
    ) -> None:
        """
        Args:
            output_dir: folder of the JPEG files, created when the first is written.
            dataset_name: begins the file names.
            classes: of model and ground truth.
            scored_classes: those that count, as for `StreamingSemSegEvaluator`; all if None.
            best, worst: how many images to save, over all processes; none is saved as both.
            longest_side: of a panel, in pixels; larger images are shrunk.
            palette: name of the colours to draw in, see `palette_named`.
            alpha: opacity of the overlays in 0..1.

        Raises:
            LangDGError: if a number is negative, the longest side has no pixel, or classes or
                palette are unknown.
        """
        if best < 0 or worst < 0 or longest_side < 1:
            raise LangDGError(
                f"best {best} and worst {worst} have to be 0 or more, longest_side "
                f"{longest_side} at least 1"
            )
        self._output_dir = output_dir
        self._dataset_name = dataset_name
        self._classes = classes
        self._scored = classes_to_score(scored_classes, classes.names)
        self._best, self._worst = best, worst
        self._longest_side = longest_side
        self._metadata = palette_named(palette, classes).metadata
        self._alpha = alpha
        self.reset()

    def reset(self) -> None:
        """Forget all images; files are replaced by `evaluate`."""
        self._candidates: list[_Candidate] = []  # sorted
        self._pictures: list[dict[str, Any]] = []

    def process(
        self, inputs: Iterable[Mapping[str, Any]], outputs: Iterable[Mapping[str, Any]]
    ) -> None:
        """Draw what is better or worse than the images so far.

        Args:
            inputs: one dict per image: "image" (3, h, w) uint8 RGB, "sem_seg" (H, W), "file_name".
            outputs: one dict per image: "sem_seg" logits (K, H, W) or classes (H, W).

        Raises:
            LangDGError: if ground truth is missing or does not fit the output; names the file.
        """
        for image, output in zip(inputs, outputs, strict=True):
            counts = count_image(
                image,
                output["sem_seg"],
                dataset_name=self._dataset_name,
                num_classes=len(self._classes),
                ignore_label=self._classes.ignore_label,
            )
            score = score_image(image, counts, self._scored)
            if not math.isnan(score.mean_iou):
                key = (score.mean_iou, str(image["file_name"]), score.pixel_accuracy, score.image)
                self._offer(key, image, output["sem_seg"])

    def evaluate(self) -> dict[str, dict[str, float]]:
        """Save the pictures, `<dataset>_worst_1.jpg` and so on; every process must call this.

        Earlier pictures of the data set are replaced. In training TensorBoard shows the best and
        the worst one as well. What cannot be saved is logged and left out.

        Returns:
            No scores: an empty dict.
        """
        everywhere = comm.gather(self._candidates)  # processes of other machines have other disks
        candidates = [candidate for part in everywhere for candidate in part]
        if comm.is_main_process():
            self._save(choose(candidates, best=self._best, worst=self._worst))
        return {}

    def details(self) -> dict[str, Any]:
        """What was saved, by name and score, and the classes' colours in it."""
        colors = map(list, self._metadata.stuff_colors)
        names = self._metadata.stuff_classes
        return {"pictures": self._pictures, "colors": dict(zip(names, colors, strict=True))}

    def _offer(
        self, key: tuple[float, str, float, str], image: Mapping[str, Any], sem_seg: Tensor
    ) -> None:
        place = bisect.bisect_left(self._candidates, key)
        is_full = len(self._candidates) == self._best + self._worst
        if is_full and place == self._worst:
            return  # neither worse than the worst nor better than the best
        try:
            picture = encode(self._draw(image, sem_seg), quality=_JPEG_QUALITY)
        except Exception:  # of matplotlib, of any kind
            logging.getLogger(__name__).exception("Cannot draw '%s'", image["file_name"])
            return
        self._candidates.insert(place, _Candidate(*key, picture))
        if is_full:
            del self._candidates[self._worst]

    def _draw(self, image: Mapping[str, Any], sem_seg: Tensor) -> Image:
        classes = predicted_classes(sem_seg)
        size = _fitting(classes.shape, self._longest_side)
        rgb = image["image"].permute(1, 2, 0).cpu().numpy()
        small = np.asarray(cv2.resize(rgb, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)
        panels = {"image": small}
        for title, label in {"ground truth": image["sem_seg"], "prediction": classes}.items():
            panels[title] = draw_sem_seg(small, _shrunk(label, size), self._metadata, self._alpha)
        return _together(panels)

    def _save(self, candidates: Mapping[str, _Candidate]) -> None:
        stem = re.sub(r"[^\w.-]+", "_", self._dataset_name)
        try:
            folder = Path(self._output_dir)
            for kind in (BEST, WORST):
                for path in folder.glob(f"{stem}_{kind}_*.jpg"):
                    path.unlink()
            for name, found in candidates.items():
                file = f"{stem}_{name}.jpg"
                write_atomically(folder / file, found.picture)
                if name in (f"{BEST}_1", f"{WORST}_1"):
                    put_picture(
                        f"{stem}/{name}", np.asarray(pillow.open(io.BytesIO(found.picture)))
                    )
                kind = name.partition("_")[0]
                scores = {"mIoU": found.mean_iou, "pixel_accuracy": found.pixel_accuracy}
                self._pictures.append({"file": file, "kind": kind, "image": found.image} | scores)
        except OSError:
            logging.getLogger(__name__).exception("Cannot save pictures in '%s'", self._output_dir)


def choose(candidates: Iterable[_Candidate], *, best: int, worst: int) -> dict[str, _Candidate]:
    """The lowest and highest candidates under names such as "worst_1" and "best_2".

    Where there are fewer candidates than names, both ends get their share of them.
    """
    ranked = sorted(candidates)
    lowest = min(worst, -(-len(ranked) * worst // max(1, best + worst)))
    highest = min(best, len(ranked) - lowest)
    ends = {WORST: ranked[:lowest], BEST: ranked[::-1][:highest]}
    return {f"{kind}_{k}": x for kind, end in ends.items() for k, x in enumerate(end, start=1)}


def _fitting(shape: Sequence[int], longest_side: int) -> tuple[int, int]:
    """The shape (height, width), shrunk to a longest side."""
    scale = min(1.0, longest_side / max(shape))
    height, width = (max(1, round(side * scale)) for side in shape)
    return height, width


def _shrunk(classes: Tensor, size: tuple[int, int]) -> npt.NDArray[np.int32]:
    """The nearest pixel of a class map for each of fewer pixels; only these leave the device."""
    rows, columns = (
        torch.arange(new, device=classes.device) * old // new
        for new, old in zip(size, classes.shape, strict=True)
    )
    return classes[rows][:, columns].to(torch.int32).cpu().numpy()


def _together(panels: Mapping[str, Image]) -> Image:
    """Titled panels of one size: wide ones below each other, upright ones side by side."""
    height, width, _ = next(iter(panels.values())).shape
    strip = max(_LEAST_TITLE, max(height, width) // _TITLE_SHARE)
    parts = [titled(title, panel, height=strip) for title, panel in panels.items()]
    below = width > height
    gap = np.full((_GAP, 1, 3) if below else (len(parts[0]), _GAP, 3), 255, np.uint8)
    separated = [part for one in parts for part in (gap, one)][1:]
    return stacked(separated) if below else np.concatenate(separated, axis=1)

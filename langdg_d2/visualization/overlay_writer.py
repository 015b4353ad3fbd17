"""Overlays of the best and the worst predictions, drawn during evaluation."""

import bisect
import io
import logging
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch.nn.functional as F
from detectron2.evaluation import DatasetEvaluator
from detectron2.utils import comm
from PIL import Image as Pillow

from ..evaluation import classes_to_score, image_classes, image_counts, score_image
from ..structures import LabelSpace
from ..utils.errors import LangDGError
from ..utils.file_io import write_atomically
from .event_images import put_picture
from .palettes import palette_named
from .sem_seg import Image, draw_sem_seg, encode, shrunk, stacked, titled

BEST, WORST = "best", "worst"

_JPEG_QUALITY = 85
_TITLE_SHARE = 20  # height of a title as a fraction of the longest side
_LEAST_TITLE = 12  # pixels
_GAP = 4

logger = logging.getLogger(__name__)


class _Candidate(NamedTuple):
    """An image that may be among the best or worst; sorted by its score."""

    mean_iou: float  # percent
    file_name: str  # breaks ties independently of the number of processes
    pixel_accuracy: float  # percent
    image: str  # name
    picture: bytes = b""  # JPEG


class OverlayWriter(DatasetEvaluator):
    """Saves the images with the best and worst mIoU, with ground truth and prediction.

    The mIoU of an image is over the scored classes in its ground truth; images without any are left
    out. Only the pictures to be saved are kept in memory.
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
    ) -> None:
        """
        Args:
            output_dir: folder of the JPEG files, created when the first is written.
            dataset_name: prefix of the file names.
            classes: classes of model and ground truth.
            scored_classes: classes to score, as for `StreamingSemSegEvaluator`; all if None.
            best: number of best images to save over all processes.
            worst: number of worst images, which are not among the best.
            longest_side: longest side of a panel in pixels; larger images are scaled down.
            palette: name of the palette, see `palette_named`.
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
        self.reset()

    def reset(self) -> None:
        """Discard all images; `evaluate` replaces the files."""
        self._candidates: list[_Candidate] = []  # sorted
        self._pictures: list[dict[str, Any]] = []

    def process(
        self, inputs: Iterable[Mapping[str, Any]], outputs: Iterable[dict[str, Any]]
    ) -> None:
        """Draw images that are better or worse than the previous ones.

        Args:
            inputs: one dict per image: "image" (3, h, w) uint8 RGB, "sem_seg" (H, W), "file_name".
            outputs: one dict per image: "sem_seg" logits (K, H, W) or classes (H, W).
        """
        for image, output in zip(inputs, outputs, strict=True):
            counts = image_counts(
                image,
                output,
                num_classes=len(self._classes),
                ignore_label=self._classes.ignore_label,
            )
            name, mean_iou, accuracy = score_image(image, counts, self._scored)
            if not math.isnan(mean_iou):
                file_name = str(image["file_name"])
                self._offer(_Candidate(mean_iou, file_name, accuracy, name), image, output)

    def evaluate(self) -> dict[str, dict[str, float]]:
        """Save the pictures as `<dataset>_worst_1.jpg` and so on. Collective.

        Earlier pictures of the data set are replaced. During training, TensorBoard also shows the
        best and the worst one. Pictures that cannot be saved are logged and left out.

        Returns:
            An empty dict, because there are no scores.
        """
        # Gathered, because processes on other machines have other disks.
        candidates = [one for part in comm.gather(self._candidates) for one in part]
        if comm.is_main_process():
            self._save(choose(candidates, best=self._best, worst=self._worst))
        return {}

    def details(self) -> dict[str, Any]:
        """Return name, kind and scores of the saved pictures, and the colours of classes."""
        colors = map(list, self._metadata.stuff_colors)
        names = self._metadata.stuff_classes
        return {"pictures": self._pictures, "colors": dict(zip(names, colors, strict=True))}

    def _offer(self, new: _Candidate, image: Mapping[str, Any], output: dict[str, Any]) -> None:
        """Draw and keep a candidate that is among the best or worst so far."""
        place = bisect.bisect_left(self._candidates, new)
        is_full = len(self._candidates) == self._best + self._worst
        if is_full and place == self._worst:
            return  # neither worse than the worst nor better than the best
        try:
            picture = self._draw(image, output)
        except Exception:  # matplotlib raises errors of many types; scores matter more
            logger.exception("Cannot draw '%s'", new.file_name)
            return
        self._candidates.insert(place, new._replace(picture=picture))
        if is_full:
            del self._candidates[self._worst]

    def _draw(self, image: Mapping[str, Any], output: dict[str, Any]) -> bytes:
        """Draw image, ground truth and prediction as a JPEG file."""
        small = shrunk(image["image"].permute(1, 2, 0).cpu().numpy(), self._longest_side)
        panels = {"image": small}
        labels = {"ground truth": image["sem_seg"], "prediction": image_classes(image, output)}
        for title, label in labels.items():
            # Resized to the nearest pixels on the device, so that only these are copied.
            nearest = F.interpolate(label[None, None].float(), size=small.shape[:2])[0, 0]
            panels[title] = draw_sem_seg(small, nearest.int().cpu().numpy(), self._metadata)
        return encode(_together(panels), quality=_JPEG_QUALITY)

    def _save(self, candidates: Mapping[str, _Candidate]) -> None:
        stem = re.sub(r"[^\w.-]+", "_", self._dataset_name)
        try:
            folder = Path(self._output_dir)
            for kind in (BEST, WORST):
                for path in folder.glob(f"{stem}_{kind}_*.jpg"):
                    path.unlink()
            for name, found in candidates.items():
                file, kind = f"{stem}_{name}.jpg", name.partition("_")[0]
                write_atomically(folder / file, found.picture)
                if name == f"{kind}_1":
                    pixels = np.asarray(Pillow.open(io.BytesIO(found.picture)))
                    put_picture(f"{stem}/{name}", pixels)
                scores = {"mIoU": found.mean_iou, "pixel_accuracy": found.pixel_accuracy}
                self._pictures.append({"file": file, "kind": kind, "image": found.image} | scores)
        except OSError:
            logger.exception("Cannot save pictures in '%s'", self._output_dir)


def choose(candidates: Iterable[_Candidate], *, best: int, worst: int) -> dict[str, _Candidate]:
    """Select the lowest and highest candidates as "worst_1", "best_2" and so on.

    With fewer candidates than names, they are divided between both ends.
    """
    ranked = sorted(candidates)
    lowest = min(worst, -(-len(ranked) * worst // max(1, best + worst)))
    highest = min(best, len(ranked) - lowest)
    ends = {WORST: ranked[:lowest], BEST: ranked[::-1][:highest]}
    return {f"{kind}_{k}": x for kind, end in ends.items() for k, x in enumerate(end, start=1)}


def _together(panels: Mapping[str, Image]) -> Image:
    """Combine titled panels: wide ones below each other, upright ones side by side."""
    height, width, _ = next(iter(panels.values())).shape
    strip = max(_LEAST_TITLE, max(height, width) // _TITLE_SHARE)
    parts = [titled(title, panel, height=strip) for title, panel in panels.items()]
    below = width > height
    gap = np.full((_GAP, 1, 3) if below else (len(parts[0]), _GAP, 3), 255, np.uint8)
    separated = [part for one in parts for part in (gap, one)][1:]
    return stacked(separated) if below else np.concatenate(separated, axis=1)

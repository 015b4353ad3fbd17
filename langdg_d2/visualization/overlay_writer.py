"""Pictures of the images that a model segments best and worst, made while it is evaluated."""

import bisect
import logging
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from detectron2.data import MetadataCatalog
from detectron2.evaluation import DatasetEvaluator
from detectron2.utils import comm
from torch import Tensor

from ..evaluation import ImageScore, StreamingSemSegEvaluator, predicted_classes
from ..utils.errors import LangDGError
from ..utils.file_io import write_atomically
from .palettes import Palette
from .sem_seg import Image, draw_sem_seg, encode, stacked, titled

BEST, WORST = "best", "worst"

_JPEG_QUALITY = 85
_TITLE_SHARE = 20  # a title is this fraction of the longest side high
_LEAST_TITLE = 12  # pixels
_GAP = 4

Key = tuple[float, str]  # mean IoU in percent and file name: an order without ties


@dataclass(frozen=True, eq=False, kw_only=True)
class _Candidate:
    """An image that may be among the best or worst, small enough to be kept."""

    key: Key
    score: ImageScore
    image: Image
    truth: npt.NDArray[np.int32]
    prediction: npt.NDArray[np.int32]


class OverlayWriter(DatasetEvaluator):
    """Scores images, and saves those with the best and worst mean IoU, truth and prediction.

    An image's mean IoU is over the scored classes that its ground truth has; images without any
    are not pictured. Beside the scores a number of shrunken images is kept in memory.
    """

    def __init__(
        self,
        *,
        scores: StreamingSemSegEvaluator,
        output_dir: str,
        dataset_name: str,
        best: int,
        worst: int,
        longest_side: int = 640,
        palette: Palette | None = None,
        alpha: float = 0.6,
    ) -> None:
        """
        Args:
            scores: counts every image and gives the results; evaluated by this alone.
            output_dir: folder of the JPEG files, created when the first is written.
            dataset_name: whose metadata gives names and colours; begins the file names.
            best, worst: how many images to save, over all processes; none is saved as both.
            longest_side: of a panel, in pixels; larger images are shrunk.
            palette: colours to draw in; the data set's if None.
            alpha: opacity of the overlays in 0..1.

        Raises:
            LangDGError: if a number is negative, or the longest side has no pixel.
        """
        if best < 0 or worst < 0 or longest_side < 1:
            raise LangDGError(
                f"best {best} and worst {worst} have to be 0 or more, longest_side "
                f"{longest_side} at least 1"
            )
        self._scores = scores
        self._output_dir = output_dir
        self._dataset_name = dataset_name
        self._best, self._worst = best, worst
        self._longest_side = longest_side
        self._palette = palette
        self._alpha = alpha
        self.reset()

    def reset(self) -> None:
        """Forget all images; files are replaced by `evaluate`."""
        self._scores.reset()
        self._candidates: list[_Candidate] = []  # by their keys
        self._pictures: list[dict[str, Any]] = []

    def process(
        self, inputs: Iterable[Mapping[str, Any]], outputs: Iterable[Mapping[str, Any]]
    ) -> None:
        """Score a batch, and keep what is better or worse than the images so far.

        Args:
            inputs: one dict per image: "image" (3, h, w) uint8 RGB, "sem_seg" (H, W), "file_name".
            outputs: one dict per image: "sem_seg" logits (K, H, W) or classes (H, W).

        Raises:
            LangDGError: if ground truth is missing or does not fit the output; names the file.
        """
        for image, output in zip(inputs, outputs, strict=True):
            score = self._scores.score(image, output["sem_seg"])
            if not math.isnan(score.mean_iou):
                self._offer(score, image, output["sem_seg"])

    def evaluate(self) -> dict[str, dict[str, float]]:
        """Save the pictures, `<dataset>_worst_1.jpg` and so on; every process must call this.

        Earlier pictures of the data set are replaced. What fails is logged and left out: it costs
        no scores.

        Returns:
            The results of `scores`.
        """
        keys = comm.all_gather([candidate.key for candidate in self._candidates])
        chosen = choose({key for part in keys for key in part}, best=self._best, worst=self._worst)
        drawn = self._draw([c for c in self._candidates if c.key in chosen])
        everywhere = comm.gather(drawn)  # processes of other machines have other disks
        if comm.is_main_process():
            together = {key: found for part in everywhere for key, found in part.items()}
            self._save({name: together[key] for key, name in chosen.items() if key in together})
        return self._scores.evaluate()

    def details(self) -> dict[str, Any]:
        """Those of `scores`, what was saved by name and score, and the classes' colours in it."""
        metadata = self._metadata()
        colors = map(list, metadata.stuff_colors)
        return self._scores.details() | {
            "pictures": self._pictures,
            "colors": dict(zip(metadata.stuff_classes, colors, strict=True)),
        }

    def _offer(self, score: ImageScore, image: Mapping[str, Any], sem_seg: Tensor) -> None:
        key = (score.mean_iou, str(image["file_name"]))
        place = bisect.bisect_left(self._candidates, key, key=lambda c: c.key)
        is_full = len(self._candidates) == self._best + self._worst
        if is_full and place == self._worst:
            return  # neither worse than the worst nor better than the best
        classes = predicted_classes(sem_seg)
        size = _fitting(classes.shape, self._longest_side)
        rgb = image["image"].permute(1, 2, 0).cpu().numpy()
        candidate = _Candidate(
            key=key,
            score=score,
            image=cv2.resize(rgb, size[::-1], interpolation=cv2.INTER_AREA),
            truth=_shrunk(image["sem_seg"], size),
            prediction=_shrunk(classes, size),
        )
        self._candidates.insert(place, candidate)
        if is_full:
            del self._candidates[self._worst]

    def _draw(self, candidates: Sequence[_Candidate]) -> dict[Key, tuple[ImageScore, bytes]]:
        drawn = {}
        for candidate in candidates:
            try:
                picture = encode(self._picture(candidate), quality=_JPEG_QUALITY)
            except Exception:  # of matplotlib, whatever it is
                logging.getLogger(__name__).exception("Cannot draw '%s'", candidate.key[1])
            else:
                drawn[candidate.key] = (candidate.score, picture)
        return drawn

    def _picture(self, candidate: _Candidate) -> Image:
        metadata = self._metadata()
        labels = {"ground truth": candidate.truth, "prediction": candidate.prediction}
        overlays = {
            title: draw_sem_seg(candidate.image, label, metadata, self._alpha)
            for title, label in labels.items()
        }
        return _together({"image": candidate.image} | overlays)

    def _save(self, pictures: Mapping[str, tuple[ImageScore, bytes]]) -> None:
        stem = re.sub(r"[^\w.-]+", "_", self._dataset_name)
        try:
            folder = Path(self._output_dir)
            for kind in (BEST, WORST):
                for path in folder.glob(f"{stem}_{kind}_*.jpg"):
                    path.unlink()
            for name, (score, data) in pictures.items():
                file = f"{stem}_{name}.jpg"
                write_atomically(folder / file, data)
                kind = name.partition("_")[0]
                scores = {"mIoU": score.mean_iou, "pixel_accuracy": score.pixel_accuracy}
                self._pictures.append({"file": file, "kind": kind, "image": score.image} | scores)
        except OSError:
            logging.getLogger(__name__).exception("Cannot save pictures in '%s'", self._output_dir)

    def _metadata(self) -> Any:
        """Names and colours to draw in."""
        return self._palette.metadata if self._palette else MetadataCatalog.get(self._dataset_name)


def choose(keys: Iterable[Key], *, best: int, worst: int) -> dict[Key, str]:
    """Names such as "worst_1" and "best_2" of the lowest and highest keys.

    Where there are fewer keys than names, both ends get their share of them.
    """
    ranked = sorted(keys)
    lowest = min(worst, -(-len(ranked) * worst // max(1, best + worst)))
    highest = min(best, len(ranked) - lowest)
    names = {key: f"{WORST}_{k}" for k, key in enumerate(ranked[:lowest], start=1)}
    return names | {key: f"{BEST}_{k}" for k, key in enumerate(ranked[::-1][:highest], start=1)}


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

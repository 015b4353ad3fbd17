"""Predictions as PNG files, in the encodings that people and test servers read."""

import io
import logging
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from detectron2.data import DatasetCatalog
from detectron2.evaluation import DatasetEvaluator
from detectron2.utils import comm
from PIL import Image

from ..structures import LabelSpace
from ..utils.errors import LangDGError
from ..utils.file_io import write_atomically
from .evaluator import image_classes

logger = logging.getLogger(__name__)

ENCODINGS = ("train_ids", "label_ids", "color")
_LARGEST_ID = 255  # of 8 bits


class PredictionWriter(DatasetEvaluator):
    """Saves the class map of every image while a model is evaluated; needs no labels.

    A file keeps its image's name and its place among the data set's folders (city, sequence), below
    `<output_dir>/<dataset_name>`. Test servers look for these names: Cityscapes' takes "label_ids",
    one file per image whose name begins with `<city>_<sequence>_<frame>`; ACDC's and BDD100K's take
    "train_ids". All of them expect the images' own size: use protocol "full".
    """

    def __init__(
        self,
        *,
        output_dir: str,
        dataset_name: str,
        encoding: str | None,
        classes: LabelSpace,
        root: str | None = None,
    ) -> None:
        """
        Args:
            output_dir: folder of the files, created when the first is written.
            dataset_name: data set of the images, as registered in Detectron2.
            encoding: "train_ids" (0..K-1), "label_ids" (`classes.ids`), both 8-bit, or "color"
                (RGB); None saves nothing.
            classes: the model's.
            root: folder that contains all images; None to find it in the registered data set.
        """
        self._output_dir = output_dir
        self._dataset_name = dataset_name
        self._encoding = encoding
        self._values = None if encoding is None else _pixel_values(encoding, classes)
        self._given_root = root
        self._written: dict[str, str] = {}  # prediction file to image file

    @property
    def writes(self) -> bool:
        """Whether files are saved at all."""
        return self._values is not None

    def reset(self) -> None:
        """Forget what was written; a second evaluation replaces the files."""
        self._written = {}

    def process(
        self, inputs: Iterable[Mapping[str, Any]], outputs: Iterable[dict[str, Any]]
    ) -> None:
        """Write one file per image, atomically; it replaces an earlier one.

        Args:
            inputs: one dict per image: "file_name", as the data set has it.
            outputs: one dict per image: "sem_seg" logits (K, H, W) or classes (H, W).
        """
        if self._values is None:
            return
        for image, output in zip(inputs, outputs, strict=True):
            file_name = str(image["file_name"])
            target = self._target(file_name)
            if self._written.setdefault(target, file_name) != file_name:
                raise LangDGError(
                    f"'{file_name}' and '{self._written[target]}' would share the prediction file "
                    f"'{target}': give one of them another name"
                )
            classes = image_classes(image, output).cpu().numpy()
            if classes.min() < 0 or classes.max() >= len(self._values):
                raise LangDGError(
                    f"'{file_name}': predicted classes {classes.min()}..{classes.max()}, expected "
                    f"0..{len(self._values) - 1}"
                )
            png = io.BytesIO()
            Image.fromarray(self._values[classes]).save(png, format="PNG")
            write_atomically(Path(target), png.getvalue())

    def evaluate(self) -> dict[str, dict[str, float]]:
        """Log the number of files and their folder; every process must call this.

        Returns:
            An empty dict: there are no scores.
        """
        # Each process checks its own images; two of them could still write the same file.
        written = Counter(target for part in comm.all_gather([*self._written]) for target in part)
        if shared := [target for target, count in written.items() if count > 1]:
            raise LangDGError(
                f"{len(shared)} prediction files belong to several images, such as '{shared[0]}': "
                "give these images other names"
            )
        if self._values is not None:
            folder = Path(self._output_dir, self._dataset_name)
            logger.info(
                "%s: %d predictions as '%s' in '%s'",
                *(self._dataset_name, len(written), self._encoding, folder),
            )
            if older := sorted({*folder.rglob("*.png")} - {*map(Path, written)}):
                logger.warning(
                    "'%s' also has files of earlier evaluations (%d, such as '%s'): remove them "
                    "before you pass the folder on",
                    *(folder, len(older), older[0].name),
                )
        return {}

    @cached_property
    def _root(self) -> str:
        """The folder that all images of the data set have in common."""
        if self._given_root is not None:
            return self._given_root
        # Not the data set's folder, which a user's own registration does not name.
        files = (record["file_name"] for record in DatasetCatalog.get(self._dataset_name))
        return os.path.commonpath([os.path.dirname(name) for name in files])

    def _target(self, file_name: str) -> str:
        relative = os.path.relpath(file_name, self._root)
        if relative.startswith(os.pardir):
            raise LangDGError(
                f"'{file_name}' is not below '{self._root}', where the images of "
                f"'{self._dataset_name}' are; give the writer its loader's data set"
            )
        name = f"{os.path.splitext(relative)[0]}.png"
        return os.path.join(self._output_dir, self._dataset_name, name)


def _pixel_values(encoding: str, classes: LabelSpace) -> npt.NDArray[np.uint8]:
    """Pixel value of every train id."""
    if encoding not in ENCODINGS:
        raise LangDGError(f"encoding '{encoding}': expected one of {list(ENCODINGS)}")
    if encoding == "color":
        return np.array(classes.colors, np.uint8)
    if encoding == "train_ids":
        return np.arange(len(classes), dtype=np.uint8)
    if classes.ids is None:
        raise LangDGError(
            "'label_ids' of classes that have none: give model.classes.ids, a number for each "
            "class, or choose 'train_ids'"
        )
    if max(classes.ids) > _LARGEST_ID:
        raise LangDGError(
            f"'label_ids' with the id {max(classes.ids)}, expected at most {_LARGEST_ID} "
            "(model.classes.ids): prediction files have 8 bits; choose 'train_ids'"
        )
    return np.array(classes.ids, np.uint8)

"""Prediction files in PNG, in encodings for people and test servers."""

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
_LARGEST_ID = 255  # in 8 bits


class PredictionWriter(DatasetEvaluator):
    """Saves the class map of every image during evaluation, without using labels.

    Files are written below `<output_dir>/<dataset_name>` with the names and subfolders (city,
    sequence) of their images, as test servers require. Cityscapes' server expects "label_ids", in
    one file per image whose name begins with `<city>_<sequence>_<frame>`; those of ACDC and BDD100K
    expect "train_ids". All expect the original image size: use protocol "full".
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
            dataset_name: registered name of the images' data set.
            encoding: "train_ids" (0..K-1) or "label_ids" (`classes.ids`) in 8 bits, or "color"
                (RGB); None saves nothing.
            classes: classes of the model.
            root: folder that contains all images; None to derive it from the registered data set.
        """
        self._output_dir = output_dir
        self._dataset_name = dataset_name
        self._encoding = encoding
        self._values = None if encoding is None else _pixel_values(encoding, classes)
        self._given_root = root
        self._written: dict[str, str] = {}  # prediction file to image file

    @property
    def writes(self) -> bool:
        """Whether files are saved."""
        return self._values is not None

    def reset(self) -> None:
        """Reset the record of written files, which another evaluation replaces."""
        self._written = {}

    def process(
        self, inputs: Iterable[Mapping[str, Any]], outputs: Iterable[dict[str, Any]]
    ) -> None:
        """Write one file per image atomically, replacing earlier files.

        Args:
            inputs: one dict per image: "file_name", as in the data set.
            outputs: one dict per image: "sem_seg" logits (K, H, W) or classes (H, W).
        """
        if self._values is None:
            return
        for image, output in zip(inputs, outputs, strict=True):
            file_name = str(image["file_name"])
            target = self._target(file_name)
            if self._written.setdefault(target, file_name) != file_name:
                raise LangDGError(
                    f"'{file_name}' and '{self._written[target]}' have the same prediction file "
                    f"'{target}': rename one of them"
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
        """Log the number of files and their folder. Collective.

        Returns:
            An empty dict, because there are no scores.
        """
        # Processes check only their own images, so two of them could write the same file.
        written = Counter(target for part in comm.all_gather([*self._written]) for target in part)
        if shared := [target for target, count in written.items() if count > 1]:
            raise LangDGError(
                f"{len(shared)} prediction files belong to several images, such as '{shared[0]}': "
                "rename these images"
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
                    "before you submit the folder",
                    *(folder, len(older), older[0].name),
                )
        return {}

    @cached_property
    def _root(self) -> str:
        """The common folder of all images of the data set."""
        if self._given_root is not None:
            return self._given_root
        # Derived from files, because custom data sets register no folder.
        files = (record["file_name"] for record in DatasetCatalog.get(self._dataset_name))
        return os.path.commonpath([os.path.dirname(name) for name in files])

    def _target(self, file_name: str) -> str:
        relative = os.path.relpath(file_name, self._root)
        if relative.startswith(os.pardir):
            raise LangDGError(
                f"'{file_name}' is not below '{self._root}', the folder of '{self._dataset_name}'; "
                "use the same data set for the writer and its loader"
            )
        name = f"{os.path.splitext(relative)[0]}.png"
        return os.path.join(self._output_dir, self._dataset_name, name)


def _pixel_values(encoding: str, classes: LabelSpace) -> npt.NDArray[np.uint8]:
    """Return the pixel value of every train id."""
    if encoding not in ENCODINGS:
        raise LangDGError(f"encoding '{encoding}': expected one of {list(ENCODINGS)}")
    if encoding == "color":
        return np.array(classes.colors, np.uint8)
    if encoding == "train_ids":
        return np.arange(len(classes), dtype=np.uint8)
    if classes.ids is None:
        raise LangDGError(
            "the classes have no 'label_ids': set model.classes.ids, with a number for each "
            "class, or choose 'train_ids'"
        )
    if max(classes.ids) > _LARGEST_ID:
        raise LangDGError(
            f"'label_ids' with the id {max(classes.ids)}, expected at most {_LARGEST_ID} "
            "(model.classes.ids), because prediction files have 8 bits; choose 'train_ids'"
        )
    return np.array(classes.ids, np.uint8)

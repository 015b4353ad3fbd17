"""Predictions as PNG files, in the encodings that people and test servers read."""

import io
import os
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from detectron2.data import DatasetCatalog
from detectron2.evaluation import DatasetEvaluator
from detectron2.utils.file_io import PathManager
from PIL import Image
from torch import Tensor

from ..structures import CITYSCAPES_19
from ..structures.files import write_atomically
from ..structures.label_space import CITYSCAPES_IDS
from .image_scores import predicted_classes

# Pixel value of every train id.
_ENCODINGS = {
    "train_ids": range(len(CITYSCAPES_19)),
    "label_ids": CITYSCAPES_IDS,
    "color": CITYSCAPES_19.colors,
}


class PredictionWriter(DatasetEvaluator):
    """Saves the class map of every image while a model is evaluated.

    A file has the image's own name and lies in the image's own folder (city, sequence) below
    `<output_dir>/<dataset_name>`, so that images of one name in different folders stay apart.
    These are the names that test servers look for. Cityscapes' takes "label_ids", one file per
    image, whose name begins with `<city>_<sequence>_<frame>`; ACDC's takes "train_ids". Both want
    the images' own size: use protocol "full", and a folder for each encoding.
    """

    def __init__(self, *, output_dir: str, dataset_name: str, encoding: str | None) -> None:
        """
        Args:
            output_dir: folder of the files, created when the first is written.
            dataset_name: data set of the images, as registered in Detectron2.
            encoding: "train_ids" (0..18, 8 bit), "label_ids" (Cityscapes' own numbers, 8 bit) or
                "color" (RGB); None saves nothing.

        Raises:
            ValueError: for another encoding.
        """
        if encoding is not None and encoding not in _ENCODINGS:
            raise ValueError(f"encoding '{encoding}': expected one of {list(_ENCODINGS)}")
        self._output_dir = output_dir
        self._dataset_name = dataset_name
        self._values = None if encoding is None else np.array(_ENCODINGS[encoding], np.uint8)

    def process(
        self, inputs: Iterable[Mapping[str, Any]], outputs: Iterable[Mapping[str, Any]]
    ) -> None:
        """Save one file per image; a file is whole or not there, and replaces an earlier one.

        Args:
            inputs: one dict per image: "file_name", as the data set has it.
            outputs: one dict per image: "sem_seg" logits (K, H, W) or classes (H, W).

        Raises:
            ValueError: if an image is not of the data set, or a class is not one of the 19; names
                the file.
        """
        if self._values is None:
            return
        for image, output in zip(inputs, outputs, strict=True):
            file_name = str(image["file_name"])
            pixels = _encode(output["sem_seg"], self._values, file_name)
            _save(pixels, self._target(file_name))

    def evaluate(self) -> dict[str, dict[str, float]]:
        """No scores: an empty dict."""
        return {}

    @cached_property
    def _root(self) -> str:
        """The folder that all images of the data set have in common."""
        files = (record["file_name"] for record in DatasetCatalog.get(self._dataset_name))
        return os.path.commonpath([os.path.dirname(name) for name in files])

    def _target(self, file_name: str) -> str:
        relative = os.path.relpath(file_name, self._root)
        if relative.startswith(os.pardir):
            raise ValueError(
                f"'{file_name}' is not below '{self._root}', where the images of "
                f"'{self._dataset_name}' are; give the writer its loader's data set"
            )
        name = f"{os.path.splitext(relative)[0]}.png"
        return os.path.join(self._output_dir, self._dataset_name, name)


def _encode(
    sem_seg: Tensor, values: npt.NDArray[np.uint8], file_name: str
) -> npt.NDArray[np.uint8]:
    classes = predicted_classes(sem_seg).cpu().numpy()
    if classes.min() < 0 or classes.max() >= len(values):
        raise ValueError(
            f"'{file_name}': predicted classes {classes.min()}..{classes.max()}, expected "
            f"0..{len(values) - 1}"
        )
    encoded: npt.NDArray[np.uint8] = values[classes]
    return encoded


def _save(pixels: npt.NDArray[np.uint8], target: str) -> None:
    png = io.BytesIO()
    Image.fromarray(pixels).save(png, format="PNG")
    PathManager.mkdirs(os.path.dirname(target))
    write_atomically(Path(PathManager.get_local_path(target)), png.getvalue())

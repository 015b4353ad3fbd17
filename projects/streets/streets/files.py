"""The files of a scene, written atomically."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2

from langdg_d2.utils.file_io import write_atomically
from streets.label_files import LabelFile
from streets.render import Rendering

_JPEG_QUALITY = 95


@dataclass(frozen=True)
class SampleFiles:
    """File names of a scene.

    Attributes:
        image: RGB image, PNG or JPEG by its suffix.
        labels: label maps with their encodings.
    """

    image: Path
    labels: tuple[tuple[Path, LabelFile], ...]

    @property
    def all(self) -> list[Path]:
        """Return all files of the scene."""
        return [self.image, *(path for path, _ in self.labels)]

    @property
    def complete(self) -> bool:
        """Return whether all files exist; they are written atomically."""
        return all(path.is_file() for path in self.all)


# (root of the data sets, split, number from 1) -> files
Naming = Callable[[Path, str, int], SampleFiles]


def write_sample(rendering: Rendering, files: SampleFiles) -> None:
    """Write the image and the label maps of a scene atomically."""
    setting = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY] if files.image.suffix == ".jpg" else []
    _, encoded = cv2.imencode(files.image.suffix, rendering.image[..., ::-1], setting)
    write_atomically(files.image, encoded.tobytes())
    for path, kind in files.labels:
        write_atomically(path, kind.encode(rendering.label_ids))

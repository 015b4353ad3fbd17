"""The files of one scene, each of which appears whole or not at all."""

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
    """Where one scene goes.

    Attributes:
        image: RGB, PNG or JPEG by its suffix.
        labels: label maps with their encodings.
    """

    image: Path
    labels: tuple[tuple[Path, LabelFile], ...]

    @property
    def all(self) -> list[Path]:
        """Every file of the scene."""
        return [self.image, *(path for path, _ in self.labels)]

    @property
    def complete(self) -> bool:
        """Whether nothing is left to write; files appear whole or not at all."""
        return all(path.is_file() for path in self.all)


# (root of the data sets, split, number from 1) -> files
Naming = Callable[[Path, str, int], SampleFiles]


def write_sample(rendering: Rendering, files: SampleFiles) -> None:
    """Write the image and the label maps of a scene; each file appears only when complete."""
    setting = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY] if files.image.suffix == ".jpg" else []
    _, encoded = cv2.imencode(files.image.suffix, rendering.image[..., ::-1], setting)
    write_atomically(files.image, encoded.tobytes())
    for path, kind in files.labels:
        write_atomically(path, kind.encode(rendering.label_ids))

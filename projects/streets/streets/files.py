"""File names and encodings of the three data sets whose on-disk layouts are written."""

import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from streets.classes import IGNORE, LABEL_ID, label_id_palette, to_train_ids
from streets.render import Rendering


class LabelFile(Enum):
    """How a label map is stored; all are 8-bit PNG."""

    PALETTE_LABEL_IDS = "palette"  # colour-mapped, label ids 0-34
    LABEL_IDS = "label ids"  # grey, label ids 0-33 and 255 for licence plates
    TRAIN_IDS = "train ids"  # grey, 0-18 and 255


@dataclass(frozen=True)
class SampleFiles:
    """Where one scene goes.

    Attributes:
        image: RGB PNG.
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


def gta5_files(root: Path, split: str, number: int) -> SampleFiles:
    """GTA5 has one folder; text files list the splits."""
    name = gta5_name(number)
    label = root / "gta5" / "labels" / name
    return SampleFiles(root / "gta5" / "images" / name, ((label, LabelFile.PALETTE_LABEL_IDS),))


def gta5_name(number: int) -> str:
    """File name of a GTA5 image and of its label map."""
    return f"{number:05d}.png"


def cityscapes_files(root: Path, split: str, number: int) -> SampleFiles:
    """Cityscapes, with one made-up city per split."""
    city = {"train": "streetsburg", "val": "streetshaven"}[split]
    stem = f"{city}_{number - 1:06d}_000019"
    labels = root / "cityscapes" / "gtFine" / split / city
    return SampleFiles(
        root / "cityscapes" / "leftImg8bit" / split / city / f"{stem}_leftImg8bit.png",
        (
            (labels / f"{stem}_gtFine_labelIds.png", LabelFile.LABEL_IDS),
            (labels / f"{stem}_gtFine_labelTrainIds.png", LabelFile.TRAIN_IDS),
        ),
    )


def acdc_files(condition: str) -> Naming:
    """ACDC under one condition, with one recording."""

    def files(root: Path, split: str, number: int) -> SampleFiles:
        stem, recording = f"GOPR0001_frame_{number:06d}", "GOPR0001"
        labels = root / "acdc" / "gt" / condition / split / recording
        images = root / "acdc" / "rgb_anon" / condition / split / recording
        return SampleFiles(
            images / f"{stem}_rgb_anon.png",
            (
                (labels / f"{stem}_gt_labelIds.png", LabelFile.LABEL_IDS),
                (labels / f"{stem}_gt_labelTrainIds.png", LabelFile.TRAIN_IDS),
            ),
        )

    return files


def write_sample(rendering: Rendering, files: SampleFiles) -> None:
    """Write the image and the label maps of a scene; each file appears only when complete."""
    _, encoded = cv2.imencode(".png", rendering.image[..., ::-1])
    write_whole(files.image, encoded.tobytes())
    for path, encoding in files.labels:
        write_whole(path, _encode_label(rendering.label_ids, encoding))


def write_whole(path: Path, content: bytes) -> None:
    """Write a file under a temporary name, then move it into place; makes the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    unfinished.write_bytes(content)
    unfinished.replace(path)


def _encode_label(label_ids: np.ndarray, encoding: LabelFile) -> bytes:
    if encoding is LabelFile.TRAIN_IDS:
        image = Image.fromarray(to_train_ids(label_ids))
    elif encoding is LabelFile.LABEL_IDS:
        plates = label_ids == LABEL_ID["license plate"]
        image = Image.fromarray(np.where(plates, np.uint8(IGNORE), label_ids))
    else:
        image = Image.fromarray(label_ids)
        image.putpalette(label_id_palette())
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()

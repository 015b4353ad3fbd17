"""File names of the data sets whose on-disk layouts are written."""

from pathlib import Path

from streets.files import Naming, SampleFiles
from streets.label_files import (
    LABEL_IDS,
    MAPILLARY_IDS,
    PALETTE_LABEL_IDS,
    TRAIN_IDS,
    URBANSYN_IDS,
)


def gta5_files(root: Path, split: str, number: int) -> SampleFiles:
    """Return file names in GTA5, which has one folder and lists of its splits."""
    name = gta5_name(number)
    label = root / "gta5" / "labels" / name
    return SampleFiles(root / "gta5" / "images" / name, ((label, PALETTE_LABEL_IDS),))


def gta5_name(number: int) -> str:
    """Return the file name of a GTA5 image and its label map."""
    return f"{number:05d}.png"


def cityscapes_files(root: Path, split: str, number: int) -> SampleFiles:
    """Return file names in Cityscapes, with one fictional city per split."""
    city = {"train": "streetsburg", "val": "streetshaven"}[split]
    stem = f"{city}_{number - 1:06d}_000019"
    labels = root / "cityscapes" / "gtFine" / split / city
    return SampleFiles(
        root / "cityscapes" / "leftImg8bit" / split / city / f"{stem}_leftImg8bit.png",
        (
            (labels / f"{stem}_gtFine_labelIds.png", LABEL_IDS),
            (labels / f"{stem}_gtFine_labelTrainIds.png", TRAIN_IDS),
        ),
    )


def acdc_files(condition: str) -> Naming:
    """Return the naming of a condition of ACDC, with one recording."""

    def files(root: Path, split: str, number: int) -> SampleFiles:
        stem, recording = f"GOPR0001_frame_{number:06d}", "GOPR0001"
        labels = root / "acdc" / "gt" / condition / split / recording
        images = root / "acdc" / "rgb_anon" / condition / split / recording
        return SampleFiles(
            images / f"{stem}_rgb_anon.png",
            (
                (labels / f"{stem}_gt_labelIds.png", LABEL_IDS),
                (labels / f"{stem}_gt_labelTrainIds.png", TRAIN_IDS),
            ),
        )

    return files


def urbansyn_files(root: Path, split: str, number: int) -> SampleFiles:
    """Return file names in UrbanSyn, which has no splits."""
    folder = root / "urbansyn"
    label = folder / "ss" / f"ss_{number:04d}.png"
    return SampleFiles(folder / "rgb" / f"rgb_{number:04d}.png", ((label, URBANSYN_IDS),))


def bdd100k_files(root: Path, split: str, number: int) -> SampleFiles:
    """Return file names in BDD100K, with the layout of the first segmentation release."""
    folder, stem = root / "bdd100k" / "seg", f"57ee7500-{number:08x}"
    label = folder / "labels" / split / f"{stem}_train_id.png"
    return SampleFiles(folder / "images" / split / f"{stem}.jpg", ((label, TRAIN_IDS),))


def mapillary_files(root: Path, split: str, number: int) -> SampleFiles:
    """Return file names in Mapillary Vistas v1.2; its class list is `config.json`."""
    folder = root / "mapillary" / {"train": "training", "val": "validation"}[split]
    stem = f"streets-{number:014d}"
    label = folder / "labels" / f"{stem}.png"
    return SampleFiles(folder / "images" / f"{stem}.jpg", ((label, MAPILLARY_IDS),))


def idd_files(root: Path, split: str, number: int) -> SampleFiles:
    """Return file names in IDD, with one drive and the labels from the authors' tool."""
    folder, stem = root / "idd", f"{number:06d}"
    label = folder / "gtFine" / split / "1" / f"{stem}_gtFine_labelcsTrainIds.png"
    image = folder / "leftImg8bit" / split / "1" / f"{stem}_leftImg8bit.png"
    return SampleFiles(image, ((label, TRAIN_IDS),))


def dark_zurich_files(root: Path, split: str, number: int) -> SampleFiles:
    """Return file names of labelled night images in Dark Zurich, with one recording."""
    folder, place = root / "dark_zurich", Path(split) / "night" / "GOPR0002"
    stem = f"GOPR0002_frame_{number:06d}"
    label = folder / "gt" / place / f"{stem}_gt_labelTrainIds.png"
    return SampleFiles(folder / "rgb_anon" / place / f"{stem}_rgb_anon.png", ((label, TRAIN_IDS),))

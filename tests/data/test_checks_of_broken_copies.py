"""Checks of broken copies on disk: every break is named, with the file and the remedy."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from langdg_d2.data.checks import CopyCheck, Kind
from langdg_d2.data.datasets.builtin import FAMILIES

CITY = "cityscapes/{}/val/ulm/ulm_000001_000019_{}.png"
CITY_IMAGE = CITY.format("leftImg8bit", "leftImg8bit")
CITY_LABEL = CITY.format("gtFine", "gtFine_labelIds")


def edit(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    """Replace a file by a function of its pixels (of a palette image: of its indices)."""

    def apply(path: Path) -> None:
        with Image.open(path) as image:
            pixels = np.array(image)
        Image.fromarray(change(pixels)).save(path)

    return apply


def damage_in_the_middle(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


def truncate(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def to_version_2(path: Path) -> None:
    config = json.loads(path.read_text())
    config["labels"].insert(3, {"name": "construction--barrier--concrete-block"})
    path.write_text(json.dumps(config | {"version": 2.0}))


def turn(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    with Image.open(path) as image:
        image.save(path, exif=exif, quality=100)


def destroy_second_half(path: Path) -> None:
    data = bytearray(path.read_bytes())
    half = len(data) // 2
    data[half:-2] = bytes(len(data) - 2 - half)
    path.write_bytes(data)


def recolored(path: Path, colors: list[tuple[int, int, int]]) -> None:
    """Replace a label by classes numbered from 0 on, in colours of their own."""
    with Image.open(path) as image:
        numbered = Image.fromarray((np.array(image) % len(colors)).astype(np.uint8))
    numbered.putpalette([channel for color in colors for channel in color])
    numbered.save(path)


def converted_to_8_bit(path: Path) -> None:
    cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[..., 2].astype(np.uint8))


def move_sequence_away(path: Path) -> None:
    """Leave the labels of one city, whose images are gone, beside another city's whole pairs."""
    city = path.parent.with_name("bonn")
    city.mkdir()
    path.rename(city / path.name)


class Break(NamedTuple):
    """A way to damage a copy, and what has to be said about it."""

    family: str
    path: str
    damage: Callable[[Path], object]
    kind: Kind
    detail: str = ""
    split: str = "val"
    named: str | None = None  # file in the report, where it is not `path`


BREAKS = {
    "empty label": Break(
        "gta5", "gta5/labels/00002.png", lambda p: p.write_bytes(b""), Kind.UNREADABLE, "is empty"
    ),
    "truncated image": Break("cityscapes", CITY_IMAGE, truncate, Kind.UNREADABLE, "truncated"),
    "truncated JPEG": Break(
        "mapillary_b",
        "mapillary/validation/images/_-0Vz1Mz0aKyh9oRU4Hp01A.jpg",
        truncate,
        Kind.UNREADABLE,
        "Premature end of JPEG",
    ),
    "truncated 16-bit label": Break(
        "synthia", "synthia/GT/LABELS/0000001.png", truncate, Kind.UNREADABLE
    ),
    "damaged image": Break("cityscapes", CITY_IMAGE, damage_in_the_middle, Kind.UNREADABLE),
    "Git LFS pointer": Break(
        "gta5",
        "gta5/images/00002.png",
        lambda p: p.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9"),
        Kind.UNREADABLE,
        "a pointer of Git LFS; `git lfs pull`",
    ),
    "web page": Break(
        "acdc_fog",
        "acdc/rgb_anon/fog/val/GOPR1/GOPR1_frame_000001_rgb_anon.png",
        lambda p: p.write_text("\n<!DOCTYPE html><title>Log in</title>"),
        Kind.UNREADABLE,
        "it is a web page",
    ),
    "text file": Break(
        "cityscapes",
        CITY_LABEL,
        lambda p: p.write_text("nothing"),
        Kind.UNREADABLE,
        "is not an image",
    ),
    "missing label": Break(
        "bdd100k",
        "bdd100k/seg/labels/val/7d06fefd-f7be0501_train_id.png",
        Path.unlink,
        Kind.MISSING_FILE,
        named="bdd100k/seg/labels/val/7d06fefd-f7be0501.png",
    ),
    "missing image": Break(
        "cityscapes", CITY_IMAGE, Path.unlink, Kind.LABEL_WITHOUT_IMAGE, named=CITY_LABEL
    ),
    "image in a format that is not read": Break(
        "mapillary",
        "mapillary/validation/images/_-0Vz1Mz0aKyh9oRU4Hp01A.jpg",
        lambda p: p.rename(p.with_suffix(".heic")),
        Kind.LABEL_WITHOUT_IMAGE,
        named="mapillary/validation/labels/_-0Vz1Mz0aKyh9oRU4Hp01A.png",
    ),
    "missing sequence of images": Break(
        "cityscapes",
        CITY_LABEL,
        lambda p: (move_sequence_away(p), Path(str(p).replace(CITY_LABEL, CITY_IMAGE)).unlink()),
        Kind.LABEL_WITHOUT_IMAGE,
        named=CITY_LABEL.replace("/ulm/", "/bonn/"),
    ),
    "missing image that a list names": Break(
        "gta5", "gta5/images/00002.png", Path.unlink, Kind.MISSING_FILE
    ),
    "list names an image twice": Break(
        "gta5",
        "gta5/val.txt",
        lambda p: p.write_text(p.read_text() + "\n00001.png"),
        Kind.UNLISTABLE,
        "names '00001' in the lines",
    ),
    "split.mat numbers an image twice": Break(
        "gta5",
        "gta5/split.mat",
        lambda p: (savemat(p, {"valIds": [[1, 2, 1]]}), p.with_name("val.txt").unlink()),
        Kind.DUPLICATE,
        detail="'00001' 2 times",
        named="gta5/images/00001.png",
    ),
    "missing list": Break(
        "synthia", "synthia/val.txt", Path.unlink, Kind.UNLISTABLE, "use the split 'all'"
    ),
    "damaged split.mat": Break(
        "gta5",
        "gta5/split.mat",
        lambda p: (p.write_bytes(b"MATLAB"), p.with_name("val.txt").unlink()),
        Kind.UNLISTABLE,
        "cannot be read as a MATLAB file",
    ),
    "missing folder": Break(
        "mapillary",
        "mapillary/validation/labels",
        shutil.rmtree,
        Kind.UNLISTABLE,
        "DETECTRON2_DATASETS",
    ),
    "Mapillary v2.0": Break(
        "mapillary",
        "mapillary/config.json",
        to_version_2,
        Kind.UNLISTABLE,
        "of version 2.0, expected the 66 of v1.2",
    ),
    "colours for ids": Break(
        "cityscapes",
        CITY_LABEL,
        edit(lambda ids: np.stack([ids] * 3, axis=-1)),
        Kind.LABEL_MODE,
        "8-bit RGB PNG, expected 8-bit grey or palette",
    ),
    "SYNTHIA label made 8-bit": Break(
        "synthia",
        "synthia/GT/LABELS/0000001.png",
        converted_to_8_bit,
        Kind.LABEL_MODE,
        "8-bit grey PNG, expected 16-bit RGB",
    ),
    "label compressed with losses": Break(
        "bdd100k",
        "bdd100k/seg/labels/val/7d06fefd-f7be0501_train_id.png",
        lambda p: Image.open(p).save(p, format="JPEG"),
        Kind.LABEL_MODE,
        "JPEG",
    ),
    "train ids for raw ids": Break(
        "mapillary",
        "mapillary/validation/labels/_-0Vz1Mz0aKyh9oRU4Hp01A.png",
        edit(lambda ids: np.where(ids > 18, 255, ids).astype(np.uint8)),
        Kind.WRONG_IDS,
        "train ids instead of raw ids: 255; read as Mapillary v1.2 label ids, map A",
    ),
    "train ids for label ids, none of them unknown": Break(
        "cityscapes",
        CITY_LABEL,
        edit(lambda ids: np.resize(np.uint8([0, 1, 2, 8, 10, 13]), ids.shape)),
        Kind.ODD_LABEL,
        "possible train ids instead of raw ids: 0, 1, 2, 8, 10, 13; read as Cityscapes",
    ),
    "raw ids for train ids": Break(
        "bdd100k",
        "bdd100k/seg/labels/val/7d06fefd-f7be0501_train_id.png",
        edit(lambda ids: np.resize(np.uint8([7, 11, 21, 23, 26]), ids.shape)),
        Kind.WRONG_IDS,
        "Cityscapes' raw ids instead of train ids: 21, 23, 26; read as train ids",
    ),
    "unknown ids": Break(
        "gta5",
        "gta5/labels/00002.png",
        edit(lambda ids: ids + 60),
        Kind.WRONG_IDS,
        "ids that its encoding does not have: 60, 61, ",
    ),
    "no labelled pixel": Break(
        "cityscapes", CITY_LABEL, edit(np.zeros_like), Kind.ODD_LABEL, "no pixel of a class: 0;"
    ),
    "image and label of different sizes": Break(
        "cityscapes",
        CITY_LABEL,
        edit(lambda ids: ids[:-1]),
        Kind.SIZE_MISMATCH,
        f"47x64, but '{{root}}/{CITY_IMAGE}' is 48x64 (height x width)",
    ),
    "grey image": Break(
        "cityscapes", CITY_IMAGE, edit(lambda rgb: rgb[..., 0]), Kind.IMAGE_MODE, "8-bit grey"
    ),
    "16-bit image": Break(
        "gta5",
        "gta5/images/00002.png",
        lambda p: cv2.imwrite(str(p), cv2.imread(str(p)).astype(np.uint16) * 257),
        Kind.IMAGE_MODE,
        "16-bit RGB",
    ),
    "image with transparency": Break(
        "gta5",
        "gta5/images/00002.png",
        edit(lambda rgb: np.concatenate([rgb, np.full_like(rgb[..., :1], 255)], axis=-1)),
        Kind.ALPHA,
        "RGBA",
    ),
    "image that its EXIF data turn": Break(
        "bdd100k",
        "bdd100k/seg/images/val/7d06fefd-f7be0501.jpg",
        turn,
        Kind.TURNED,
        "EXIF orientation 3",
    ),
    "JPEG whose second half is destroyed": Break(
        "bdd100k",
        "bdd100k/seg/images/val/7d06fefd-f7be0501.jpg",
        destroy_second_half,
        Kind.UNREADABLE,
        "Corrupt JPEG data",
    ),
    "JPEG without its end": Break(
        "bdd100k",
        "bdd100k/seg/images/val/7d06fefd-f7be0501.jpg",
        lambda p: p.write_bytes(p.read_bytes()[:-2]),
        Kind.UNREADABLE,
        "Premature end of JPEG",
    ),
    "label with the palette of another program": Break(
        "gta5",
        "gta5/labels/00002.png",
        lambda p: recolored(p, [(9, 8, 7), (60, 60, 60)]),
        Kind.LABEL_MODE,
        "its palette is not that of GTA5 label ids",
    ),
    "black image": Break(
        "cityscapes", CITY_IMAGE, edit(np.zeros_like), Kind.ODD_IMAGE, "RGB [0, 0, 0]"
    ),
    "resource fork": Break(
        "gta5",
        "gta5/images/00002.png",
        lambda p: p.with_name("._00002.png").write_bytes(b"\0\5\x16\7"),
        Kind.RESOURCE_FORK,
        split="all",
        named="gta5/labels/._00002.png",
    ),
}


@pytest.mark.parametrize("case", BREAKS.values(), ids=BREAKS)
def test_break_is_named_with_its_file_and_remedy_and_nothing_else_is(copy, case):
    case.damage(copy / case.path)
    family = FAMILIES[case.family]
    report = CopyCheck(root=copy, subset=True).check(family, case.split)
    assert [*report.problems] == [case.kind]
    (problem,) = report.problems[case.kind]
    remedy = report.remedies[case.kind]
    named = str(copy / (case.named or case.path))
    assert problem.path == named or (problem.path == "" and named in problem.detail)
    assert case.detail.format(root=copy) in problem.detail
    text = report.text()
    for said in (case.kind.title, problem.path, problem.detail, remedy):
        assert said in text
    assert case.kind.severity in text
    if "{website}" in case.kind.remedy:
        assert family.website in remedy


def test_all_breaks_are_reported_at_once_errors_first(copy):
    (copy / "gta5/labels/00001.png").write_bytes(b"")
    edit(np.zeros_like)(copy / "gta5/images/00002.png")
    (copy / "gta5/labels/00003.png").unlink()
    edit(lambda ids: ids + 60)(copy / "gta5/labels/00004.png")
    report = CopyCheck(root=copy, subset=True).check(FAMILIES["gta5"], "train")
    expected = [Kind.MISSING_FILE, Kind.UNREADABLE, Kind.WRONG_IDS, Kind.ODD_IMAGE]
    assert [*report.problems] == expected
    assert (report.listed, len(report.records)) == (4, 3)


def test_grey_and_dark_images_are_named(copy):
    grey, dark = (copy / f"gta5/images/0000{k}.png" for k in (1, 2))
    edit(lambda rgb: rgb[..., :1].repeat(3, axis=2))(grey)
    edit(lambda rgb: rgb // 5)(dark)
    report = CopyCheck(root=copy, subset=True).check(FAMILIES["gta5"], "all")
    assert [*report.problems] == [Kind.ODD_IMAGE]
    assert f"{grey}: has no colours" in report.text()
    assert f"{dark}: reaches " in report.text()

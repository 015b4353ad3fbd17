"""Checks of copies on disk: a good one passes, and every break is named with file and remedy."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from langdg_d2.data.checks import CopyCheck, Kind, shares_table
from langdg_d2.data.datasets.builtin import FAMILIES
from langdg_d2.data.label_io import read_train_ids
from langdg_d2.structures import CITYSCAPES_19, ENCODINGS

PRESENT = [name for name in FAMILIES if name not in ("urbansyn", "idd", "dark_zurich")]
CITY = "cityscapes/{}/val/ulm/ulm_000001_000019_{}.png"
CITY_IMAGE = CITY.format("leftImg8bit", "leftImg8bit")
CITY_LABEL = CITY.format("gtFine", "gtFine_labelIds")


@pytest.mark.parametrize("name", PRESENT)
def test_good_copy_has_no_problem(datasets, name):
    check = CopyCheck(root=datasets, subset=True)
    for split in FAMILIES[name].splits.keys() - FAMILIES[name].unlabeled:
        report = check.check(FAMILIES[name], split)
        assert {*report.problems} <= {Kind.ODD_LABEL}  # ids are drawn at random
        assert report.listed == len(report.records) == (16 if name == "acdc" else 4)


def test_transparency_is_noted_and_nothing_is_wrong(copy):
    transparent, black = (copy / f"synthia/RGB/000000{k}.png" for k in (1, 2))
    with Image.open(transparent) as image:
        image.convert("RGBA").save(transparent)
    report = CopyCheck(root=copy, subset=True).check(FAMILIES["synthia"], "all")
    assert [*report.problems] == [Kind.ALPHA]
    assert report.is_good
    text = report.text()
    assert "no problem found" in text
    assert "NOTE  1 x image with transparency" in text
    Image.new("RGB", image.size).save(black)
    report = CopyCheck(root=copy, subset=True).check(FAMILIES["synthia"], "all")
    assert [*report.problems] == [Kind.ODD_IMAGE, Kind.ALPHA]
    assert not report.is_good
    assert "1 kind of problem" in report.text()


def test_images_that_are_not_the_releases_are_named(copy):
    family = replace(FAMILIES["cityscapes"], splits={"val": 4}, sizes=frozenset({(48, 64)}))
    report = CopyCheck(root=copy).check(family, "val")
    assert [*report.problems] == [Kind.OTHER_RELEASE]
    assert "4 images, some in 'ulm'" in report.text()
    for file in copy.glob("cityscapes/leftImg8bit/val/*/*.png"):
        with Image.open(file) as image:
            image.convert("RGB").save(file, "JPEG")
    assert "JPEG files instead of PNG" in CopyCheck(root=copy).check(family, "val").text()


def test_oddities_of_a_sample_of_labels_are_named(copy):
    label, *others = sorted(copy.glob("acdc/gt/*/train/*/*_gt_labelIds.png"))
    for other in others:
        shutil.copy(label, other)
    report = CopyCheck(root=copy).check(FAMILIES["acdc"], "train")
    details = [problem.detail for problem in report.problems[Kind.ODD_LABEL]]
    assert any("half or more of 8 sampled labels" in text for text in details)


def test_cases_are_counted_and_only_some_named(copy):
    for k in range(1, 5):
        (copy / f"gta5/labels/0000{k}.png").write_bytes(b"")
    report = CopyCheck(root=copy, subset=True).check(FAMILIES["gta5"], "train")
    text = report.text()
    assert "4 x file that cannot be read" in text
    assert "it is empty" in text
    assert "labels/00003.png" in text
    assert "labels/00004.png" not in text
    assert "and 1 more" in text


@pytest.mark.parametrize(
    ("released", "says"),
    [
        ({"splits": {"val": 4}, "sizes": frozenset({(48, 64)})}, ""),
        ({"splits": {"val": None}, "sizes": None}, ""),
        ({"splits": {"val": 500}, "sizes": None}, "4 of 500 images"),
        ({"splits": {"val": 3}, "sizes": None}, "4 instead of 3 images"),
        (
            {"splits": {"val": 4}, "sizes": frozenset({(64, 48)})},
            "4 images, 48x64 instead of 64x48",
        ),
    ],
)
def test_numbers_and_sizes_are_those_of_the_release_unless_it_is_a_subset(datasets, released, says):
    family = replace(FAMILIES["cityscapes"], **released, folders={})
    report = CopyCheck(root=datasets).check(family, "val")
    cases = [problem for problems in report.problems.values() for problem in problems]
    assert [(case.kind, case.detail) for case in cases] == [(Kind.OTHER_RELEASE, says)] * bool(says)
    assert not CopyCheck(root=datasets, subset=True).check(family, "val").problems


def test_broken_condition_does_not_hide_the_others(copy):
    """The data set of all conditions is listed whole, whichever of them lacks a file."""
    paths = [
        copy / f"acdc/gt/{c}/val/GOPR1/GOPR1_frame_000001_gt_{{}}.png" for c in ("fog", "snow")
    ]
    for path in paths:
        Path(str(path).format("labelIds")).unlink()
        Path(str(path).format("labelTrainIds")).unlink()
    family = replace(FAMILIES["acdc"], splits={"val": 16}, sizes=None)
    report = CopyCheck(root=copy).check(family, "val")
    named = [problem.path for problem in report.problems[Kind.MISSING_FILE]]
    assert named == [str(path).format("labelIds") for path in paths]
    assert (report.listed, len(report.records)) == (16, 14)


def test_missing_label_does_not_count_as_a_missing_image(copy):
    (copy / CITY_LABEL).unlink()
    family = replace(FAMILIES["cityscapes"], splits={"val": 4}, sizes=None, folders={})
    report = CopyCheck(root=copy).check(family, "val")
    assert [*report.problems] == [Kind.MISSING_FILE]


def test_pixels_are_counted_by_train_id(datasets):
    report = CopyCheck(root=datasets, subset=True).check(FAMILIES["synthia"], "all")
    expected = np.zeros(20, dtype=int)
    for record in report.records:
        encoding = ENCODINGS[record["label_encoding"]]
        for train_id in read_train_ids(record["sem_seg_file_name"], encoding).ravel():
            expected[19 if train_id == 255 else train_id] += 1
    assert report.pixel_counts.tolist() == expected.tolist()
    table = shares_table([report])
    assert f"{100 * expected[10] / expected.sum():.3f}" in table
    never = [name for name, count in zip(CITYSCAPES_19.names, expected, strict=False) if not count]
    assert f"has no pixel of: {', '.join(never)}" in table


def test_sample_is_drawn_by_seed_while_names_are_all_checked(copy):
    (copy / "gta5/labels/00003.png").unlink()

    def drawn(seed: int) -> list[str]:
        check = CopyCheck(root=copy, subset=True, sample=2, seed=seed)
        report = check.check(FAMILIES["gta5"], "all")
        assert [*report.problems] == [Kind.MISSING_FILE]
        assert report.listed == 4
        return [record["image_id"] for record in report.records]

    draws = [drawn(seed) for seed in range(8)]
    assert draws == [drawn(seed) for seed in range(8)]
    assert {tuple(ids) for ids in draws} == {
        ("00001", "00002"),
        ("00001", "00004"),
        ("00002", "00004"),
    }


def test_threads_find_the_same_in_the_same_order(copy):
    for k in (4, 2, 3):
        (copy / f"gta5/images/0000{k}.png").write_bytes(b"")
    one, many = (
        CopyCheck(root=copy, subset=True, workers=workers).check(FAMILIES["gta5"], "train")
        for workers in (1, 4)
    )
    assert one.problems == many.problems
    (cases,) = one.problems.values()
    assert [Path(case.path).stem for case in cases] == ["00002", "00003", "00004"]
    assert one.pixel_counts.tolist() == many.pixel_counts.tolist()


def test_every_label_like_train_ids_is_named(write_datasets, tmp_path):
    write_datasets(tmp_path, images=22, size=(4, 16))
    street, tunnel = np.uint8([7, 11, 21, 23]), np.uint8([0, 4, 7, 16])

    def suspected(tunnels: int) -> int:
        labels = sorted((tmp_path / "cityscapes/gtFine/val/ulm").iterdir())
        for k, label in enumerate(labels):
            ids = np.resize(tunnel if k < tunnels else street, (4, 16))
            Image.fromarray(ids).save(label)
        report = CopyCheck(root=tmp_path, subset=True).check(FAMILIES["cityscapes"], "val")
        assert {*report.problems} <= {Kind.ODD_LABEL, Kind.ODD_IMAGE}
        return sum(
            "possible train ids instead of raw ids" in problem.detail
            for problem in report.problems[Kind.ODD_LABEL]
        )

    assert suspected(1) == 1
    assert suspected(2) == 2


def test_absent_data_set_is_told_from_an_incomplete_one(copy):
    shutil.rmtree(copy / "acdc")
    shutil.rmtree(copy / "cityscapes/gtFine")
    check = CopyCheck(root=copy, subset=True)
    assert check.check(FAMILIES["acdc_fog"], "val").absent == copy / "acdc"
    incomplete = check.check(FAMILIES["cityscapes"], "val")
    assert incomplete.absent is None
    assert str(copy / "cityscapes/gtFine/val") in incomplete.text()


def test_every_remedy_says_something_and_names_no_unknown_thing():
    assert len({kind.title for kind in Kind}) == len(Kind) > 12
    for kind in Kind:
        assert kind.remedy.format(website="https://example.org")

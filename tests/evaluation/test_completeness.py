"""Copies of data sets that are not the published ones are named, with what differs."""

import logging
import shutil
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from detectron2.data import DatasetCatalog
from detectron2.utils import comm
from PIL import Image

from langdg_d2.data import ImageFileError
from langdg_d2.data.datasets.builtin import FAMILIES
from langdg_d2.data.datasets.family import DatasetFamily
from langdg_d2.engine import RunSettings
from langdg_d2.evaluation import incomplete_sets, incomplete_sources, with_training
from langdg_d2.evaluation.completeness import departure

NAME = "little_sem_seg_val"


def trained(*names: str, incomplete: dict[str, str] | None = None) -> RunSettings:
    """Settings of a training on these sets."""
    settings = {"dataloader": {"train": {"dataset": {"names": list(names)}}}} if names else {}
    return RunSettings(settings, incomplete=incomplete)


def test_small_copies_of_real_sets_are_named(
    datasets: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("DETECTRON2_DATASETS", str(datasets))
    names = {"city": "cityscapes_sem_seg_val", "vistas": "mapillary_sem_seg_val", "mine": None}
    with caplog.at_level(logging.WARNING):
        found = incomplete_sets(names)
    assert found == {
        "city": "4 of 500 images, 48x64 instead of 1024x2048, some in 'ulm'",
        "vistas": "4 of 2000 images, 4 of them below 4000000 pixels",
    }
    assert caplog.messages[0] == (
        "city is not the published data set, so its scores are not comparable: " + found["city"]
    )


@pytest.fixture
def little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Path]]:
    """Three images of 4 x 6 pixels, which are a whole set."""
    files = [tmp_path / f"{k}.png" for k in range(3)]
    for k, file in enumerate(files):
        Image.fromarray(np.full((4, 6), k, np.uint8)).save(file)
    family = DatasetFamily(
        name="little",
        title="",
        website="",
        folder="",
        layouts=lambda folders, split: [],
        splits={"val": 3, "train": None},
        condition="clear",
        sizes=frozenset({(4, 6)}),
    )
    monkeypatch.setitem(FAMILIES, "little", family)
    for name in (NAME, "little_sem_seg_train", "little"):
        DatasetCatalog.register(name, lambda: [{"file_name": str(file)} for file in files])
    yield files
    for name in (NAME, "little_sem_seg_train", "little"):
        DatasetCatalog.remove(name)


def test_whole_sets_and_those_nothing_is_known_of_are_not_named(little: list[Path]) -> None:
    assert (
        departure(NAME, "a", list(map(str, little)))
        == departure("little_sem_seg_train", "a", list(map(str, little)))
        == departure("little", "a", list(map(str, little)))
        == ""
    )
    assert incomplete_sets({"a": NAME}) == {}


def test_sets_in_the_place_of_others_are_named(little: list[Path]) -> None:
    assert departure(NAME, "little", list(map(str, little))) == ""
    assert (
        departure("little_sem_seg_train", "little", list(map(str, little)))
        == "little_sem_seg_train in its place"
    )
    assert (
        departure(NAME, "cityscapes", list(map(str, little))) == "little_sem_seg_val in its place"
    )
    assert (
        departure("my_own_val", "cityscapes", list(map(str, little))) == "my_own_val in its place"
    )
    assert departure("my_own_val", "my_city", list(map(str, little))) == ""


def test_a_source_counts_the_images_that_are_trained_on(little: list[Path]) -> None:
    dataset = [{"source": NAME, "file_name": str(file)} for file in little]
    other = "split 'val' instead of 'train'"
    assert incomplete_sources(dataset) == {NAME: other}
    assert incomplete_sources(dataset[:2]) == {NAME: f"{other}; 2 of 3 images"}


def test_a_source_that_is_not_whole_marks_every_domain(
    little: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    Image.fromarray(np.zeros((2, 3), np.uint8)).save(little[0])
    names = ("little_sem_seg_train", "little")
    dataset = [{"source": name, "file_name": str(file)} for name in names for file in little]
    incomplete = incomplete_sources(dataset)
    text = "3 images, 1 of them 2x3 instead of 4x6; 3 of 3 images also in little"
    assert incomplete["little_sem_seg_train"] == text
    assert f"little_sem_seg_train: {text}" in caplog.text
    caplog.clear()
    found = with_training({"a": "4 images"}, {"a": NAME, "b": None}, trained(incomplete=incomplete))
    assert found["a"].startswith("4 images; trained on little_sem_seg_train: 3 images")
    assert found["b"].startswith("trained on little_sem_seg_train: 3 images")
    assert f"little_sem_seg_train: {text}" in caplog.text


def test_domains_of_earlier_training_are_marked(caplog: pytest.LogCaptureFixture) -> None:
    names = {"a": "little_sem_seg_val", "b": "other_sem_seg_val", "c": None}
    sets = {"a": "3 images", "b": "4 images"}
    found = with_training(sets, names, trained("little_sem_seg_train"))
    assert found == {"a": "3 images; trained on another part", "b": "4 images"}
    assert "a is not unseen" in caplog.text
    assert with_training(sets, names, trained()) == sets
    run = trained("little_sem_seg_train")
    assert with_training(sets, names, run, source=["a", "little"]) == sets


def test_sources_that_are_not_named_mark_every_domain(caplog: pytest.LogCaptureFixture) -> None:
    names = {"a": NAME, "b": None}
    run = trained("gta5_sem_seg_train", "my_own_set")
    found = with_training({}, names, run, source=["gta5"])
    assert found == {"a": "also learnt from my_own_set", "b": "also learnt from my_own_set"}
    assert "also learnt from my_own_set" in caplog.text
    assert with_training({}, names, run) == {}  # no source is named at all


@pytest.mark.parametrize(
    ("trainings", "source", "remark"),
    [
        (["gta5_sem_seg_train"], ["gta5"], ""),
        (["gta5_sem_seg_all", "synthia_sem_seg_train"], ["synthia", "gta5"], ""),
        (["gta5_sem_seg_train"], ["gta5", "synthia"], "not trained on synthia"),
        (["synthia_sem_seg_train"], ["gta5"], "also learnt from synthia_sem_seg_train"),
        (["synthia_sem_seg_train"], ["gta5"], "not trained on gta5"),
        (["my_city_train"], ["gta5"], "also learnt from my_city_train"),
        # The held-out part of one's own set.
        (["my_city_train"], ["mine"], ""),
        (["my_city_train", "gta5_sem_seg_train"], ["mine"], "also learnt from gta5_sem_seg_train"),
        (["gta5_sem_seg_train"], ["gta5", "mine"], "not trained on mine"),
        (["my_city_train", "rain_train"], ["mine"], "also learnt from rain_train"),
        (["rain_train"], ["mine"], "not trained on mine"),
        (["gta5_half"], ["gta5"], "also learnt from gta5_half"),
    ],
)
def test_sources_are_those_trained_on(trainings: list[str], source: list[str], remark: str) -> None:
    names = {"mine": "my_city_val", "a": None}
    found = with_training({}, names, trained(*trainings), source=source)
    assert remark in found.get("a", "")
    assert bool(remark) == bool(found)


def test_settings_that_changed_on_resumption_mark_every_domain() -> None:
    earlier, run = (
        RunSettings({"optimizer": {"lr": lr}, "train": {"max_iter": 9}}) for lr in (1, 2)
    )
    run.require_continuation(
        "a.pth", {"trainer": {"iteration": 4}, "settings": earlier.state_dict()}
    )
    run.load_state_dict(earlier.state_dict())
    text = "resumed with optimizer.lr 1 -> 2 after 5 iterations"
    assert with_training({}, {"a": NAME}, run) == {"a": text}


def test_scores_of_a_training_that_has_not_ended_are_marked(
    caplog: pytest.LogCaptureFixture,
) -> None:
    names = {"a": None, "b": "other_sem_seg_val"}
    found = with_training({"b": "4 images"}, names, trained(), progress=(2, 6))
    assert found == {"a": "after 2 of 6 iterations", "b": "4 images; after 2 of 6 iterations"}
    assert "after 2 of 6 iterations" in caplog.text
    assert with_training({}, names, trained(), progress=(6, 6)) == {}


@pytest.mark.parametrize(
    ("source", "scored", "seen"),
    [
        ("acdc_sem_seg_train", "acdc_fog_sem_seg_val", True),
        ("acdc_fog_sem_seg_train", "acdc_sem_seg_val", True),
        ("mapillary_b_sem_seg_train", "mapillary_sem_seg_val", True),
        ("cityscapes_sem_seg_train", "dark_zurich_sem_seg_val", False),
        ("my_city_sem_seg_train", "my_town_sem_seg_val", False),
        ("my_city_train", "my_city_val", True),
        ("cityscapes_fine_sem_seg_train", "cityscapes_sem_seg_val", True),
    ],
)
def test_parts_of_one_release_are_not_unseen(source: str, scored: str, seen: bool) -> None:
    assert ("a" in with_training({}, {"a": scored}, trained(source))) is seen


def test_more_images_and_single_other_sizes_are_named(little: list[Path]) -> None:
    Image.fromarray(np.zeros((2, 3), np.uint8)).save(little[0])
    assert departure(NAME, "a", list(map(str, little))) == "3 images, 1 of them 2x3 instead of 4x6"
    Image.fromarray(np.zeros((8, 9), np.uint8)).save(little[1])
    little.append(little[2])
    assert (
        departure(NAME, "a", list(map(str, little)))
        == "4 instead of 3 images, 2 of them sizes such as 2x3 instead of 4x6"
    )
    assert departure("little_sem_seg_train", "a", list(map(str, little))).startswith(
        "4 images, 2 of them"
    )


def test_images_of_another_format_are_named(
    little: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FAMILIES, "little", replace(FAMILIES["little"], image_format="PNG"))
    assert departure(NAME, "a", list(map(str, little))) == ""
    Image.open(little[1]).save(little[1], "JPEG")  # whatever its suffix
    assert departure(NAME, "a", list(map(str, little))) == "3 images, JPEG files instead of PNG"


def test_whole_sets_of_other_images_are_named(
    datasets: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Here the releases are the tests' copies, so that number and size fit."""
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    for name in ("cityscapes", "acdc", "mapillary", "gta5"):
        shutil.copytree(datasets / name, tmp_path / name)
    for name in ("acdc_fog", "acdc_rain", "cityscapes", "mapillary", "gta5"):
        whole = {
            "splits": {"train": None, "val": 4},
            "sizes": None,
            "least_pixels": 47 * 61,
            "least_images": {},
        }
        city = {"folders": {"val": frozenset({"ulm"})}} if name == "cityscapes" else {}
        monkeypatch.setitem(FAMILIES, name, replace(FAMILIES[name], **whole, **city))
    names = {d: f"{d}_sem_seg_val" for d in ("acdc_fog", "acdc_rain", "cityscapes", "mapillary")}
    assert incomplete_sets(names) == {}

    for images in ("rgb_anon", "gt"):
        folder = tmp_path / "acdc" / images
        shutil.rmtree(folder / "rain/val")
        shutil.copytree(folder / "fog/val", folder / "rain/val")
    for folder in ("leftImg8bit", "gtFine"):
        folder = tmp_path / "cityscapes" / folder / "val"
        folder.joinpath("ulm").rename(folder / "bonn")
    for file in tmp_path.glob("mapillary/validation/images/*"):
        Image.open(file).resize((20, 20)).save(file)
    (tmp_path / "gta5/val.txt").write_text("00002")
    trained = [str(tmp_path / f"gta5/images/0000{k}.png") for k in (1, 2)]
    monkeypatch.setitem(FAMILIES, "gta5", replace(FAMILIES["gta5"], splits={"val": None}))
    assert incomplete_sets(names | {"gta5": "gta5_sem_seg_val"}, trained) == {
        "acdc_fog": "4 of 4 images also in acdc_rain",
        "acdc_rain": "4 of 4 images also in acdc_fog",
        "cityscapes": "4 images, some in 'bonn'",
        "mapillary": "4 images, all 20x20 instead of various sizes, 4 of them below 2867 pixels",
        "gta5": "1 of 1 images trained on",
    }
    assert f"gta5: 1 of 1 images trained on, such as '{trained[1]}'" in caplog.messages


def test_what_is_not_an_image_is_named_before_the_evaluation(little: list[Path]) -> None:
    little[1].write_bytes(b"")
    with pytest.raises(ImageFileError, match=r"1\.png"):
        departure(NAME, "a", list(map(str, little)))


def _incomplete(args: Namespace) -> None:
    """Only the main process has the data set."""
    if comm.is_main_process():
        DatasetCatalog.register("lone_sem_seg_val", lambda: [{"file_name": args.file}])
        FAMILIES["lone"] = DatasetFamily(
            name="lone",
            title="",
            website="",
            folder="",
            layouts=lambda folders, split: [],
            splits={"val": 1},
            condition="clear",
            sizes=frozenset({(4, 6)}),
        )
    try:
        incomplete_sets({"a": "lone_sem_seg_val"})
    except ImageFileError as error:
        Path(args.folder, f"{comm.get_rank()}.txt").write_text(str(error))


def test_every_process_hears_of_a_damaged_file(
    in_two_processes: Callable[..., None], tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(b"")
    in_two_processes(_incomplete, file=str(damaged), folder=str(tmp_path))
    assert "damaged.png" in (tmp_path / "0.txt").read_text()
    assert (tmp_path / "0.txt").read_text() == (tmp_path / "1.txt").read_text()


@pytest.mark.parametrize(("place", "seen"), [("images/val", True), ("other/val", False)])
def test_splits_of_one_folder_are_one_set(tmp_path: Path, place: str, seen: bool) -> None:
    names = {"drives": "images/train", "held_out": place}
    for name, folder in names.items():
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        record = {"file_name": str(tmp_path / folder / f"{name}.png")}
        DatasetCatalog.register(name, lambda record=record: [record])
    try:
        found = with_training({}, {"a": "held_out"}, trained("drives"))
    finally:
        for name in names:
            DatasetCatalog.remove(name)
    assert found == ({"a": "trained on another part"} if seen else {})

"""Whole collections: workers, resuming, and folders that are already taken."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from streets.collection import Settings, companion_files, generate, plan
from streets.domains import DOMAINS, TARGET_LOOKS, VALIDATION_LOOKS, Role

from langdg_d2.utils.errors import LangDGError

_SMALL = Settings(
    height=32,
    width=64,
    seed=4,
    train=3,
    val=1,
    targets=1,
    target_train=1,
    looks=("other_city", "fog", "dusk", "third_city", "noisy_camera"),
)


def _digests(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small collection made in this process."""
    root = tmp_path_factory.mktemp("collection")
    assert generate(root, _SMALL, workers=1) == 3 + 1 + 4 * 2 + 1
    return root


def test_pictures_do_not_depend_on_processes(collection: Path, tmp_path: Path) -> None:
    generate(tmp_path, _SMALL, workers=2)
    assert _digests(tmp_path) == _digests(collection)


def test_collection_has_exactly_the_planned_files(collection: Path) -> None:
    planned = {path for job in plan(collection, _SMALL) for path in job.files.all}
    planned |= {*companion_files(collection, _SMALL), collection / "streets.json"}
    assert {path for path in collection.rglob("*") if path.is_file()} == planned


def test_scene_numbers_are_unique_and_stable_when_counts_grow() -> None:
    jobs = list(plan(Path(), _SMALL))
    assert len({job.index for job in jobs}) == len(jobs)
    larger = Settings(height=32, width=64, seed=4, train=9, val=5, targets=3, target_train=2)
    scenes = {(job.look, job.index) for job in plan(Path(), larger)}
    assert {(job.look, job.index) for job in jobs} <= scenes


def test_lists_name_the_images_of_each_split(collection: Path) -> None:
    train = (collection / "gta5/train.txt").read_text().splitlines()
    val = (collection / "gta5/val.txt").read_text().splitlines()
    assert train == ["00001.png", "00002.png", "00003.png"]
    assert val == ["00004.png"]
    assert {p.name for p in (collection / "gta5/images").iterdir()} == {*train, *val}


def test_a_second_run_draws_only_what_is_missing(tmp_path: Path) -> None:
    settings = Settings(height=32, width=64, seed=4, train=2, val=0, targets=0)
    generate(tmp_path, settings)
    before = _digests(tmp_path)
    kept, lost = tmp_path / "gta5/images/00001.png", tmp_path / "gta5/labels/00002.png"
    os.utime(kept, ns=(1, 1))
    lost.unlink()
    assert generate(tmp_path, settings) == 1
    assert kept.stat().st_mtime_ns == 1
    assert _digests(tmp_path) == before
    assert generate(tmp_path, settings) == 0


def test_other_settings_are_refused_by_name_and_replaced_on_demand(tmp_path: Path) -> None:
    settings = Settings(height=32, width=64, seed=4, train=2, val=1, targets=0)
    generate(tmp_path, settings)
    own = tmp_path / "gta5/images/notes.txt"
    own.write_text("not ours")
    other = Settings(height=32, width=48, seed=4, train=1, val=0, targets=0)
    with pytest.raises(FileExistsError, match=r"width 64 -> 48.*--overwrite"):
        generate(tmp_path, other)
    assert generate(tmp_path, other, overwrite=True) == 1
    assert json.loads((tmp_path / "streets.json").read_text())["width"] == 48
    assert {p.name for p in (tmp_path / "gta5/images").iterdir()} == {"00001.png", "notes.txt"}


def test_foreign_data_sets_are_never_touched(tmp_path: Path) -> None:
    (tmp_path / "gta5").mkdir()
    with pytest.raises(FileExistsError, match=r"gta5 but no streets\.json"):
        generate(tmp_path, _SMALL, overwrite=True)
    assert list(tmp_path.iterdir()) == [tmp_path / "gta5"]


def test_a_collection_grows_by_looks_and_keeps_what_it_has(tmp_path: Path) -> None:
    counts = {"height": 32, "width": 64, "seed": 4, "train": 1, "val": 0, "targets": 1}
    assert generate(tmp_path, Settings(**counts, looks=("snow",))) == 2
    before = _digests(tmp_path)
    assert generate(tmp_path, Settings(**counts, looks=("fog", *VALIDATION_LOOKS))) == 3
    after = _digests(tmp_path)
    assert {k: v for k, v in after.items() if k in before} | {
        "streets.json": before["streets.json"]
    } == before
    looks = json.loads((tmp_path / "streets.json").read_text())["looks"]
    assert looks == ["snow", "fog", *VALIDATION_LOOKS]
    other = Settings(**counts | {"seed": 5}, looks=("snow",))
    assert generate(tmp_path, other, overwrite=True) == 2
    assert len([path for path in tmp_path.rglob("*.png") if "fog" in path.name]) == 0
    assert not any((tmp_path / "idd").rglob("*.png"))


def test_a_collection_does_not_grow_into_foreign_data_sets(tmp_path: Path) -> None:
    counts = {"height": 32, "width": 64, "seed": 4, "train": 1, "val": 0, "targets": 1}
    generate(tmp_path, Settings(**counts, looks=("fog",)))
    (tmp_path / "bdd100k").mkdir()
    for overwrite in (False, True):
        with pytest.raises(FileExistsError, match=r"bdd100k but no streets\.json that lists"):
            generate(tmp_path, Settings(**counts, looks=("third_city",)), overwrite=overwrite)
    assert generate(tmp_path, Settings(**counts, looks=("night",))) == 1


def test_scene_numbers_do_not_depend_on_the_chosen_looks() -> None:
    counts = {"height": 32, "width": 64, "seed": 4, "train": 1, "val": 1, "targets": 2}
    every = Settings(**counts, looks=(*TARGET_LOOKS, *VALIDATION_LOOKS))
    scenes = {(job.look, job.index, job.files.image) for job in plan(Path(), every)}
    assert len({index for _, index, _ in scenes}) == len(scenes)
    for look in every.looks:
        chosen = plan(Path(), Settings(**counts, looks=(look,)))
        assert {(job.look, job.index, job.files.image) for job in chosen} <= scenes


def test_only_targets_get_training_scenes() -> None:
    settings = Settings(
        height=32, width=64, seed=4, train=0, val=0, targets=0, target_train=1,
        looks=(*TARGET_LOOKS, *VALIDATION_LOOKS),
    )  # fmt: skip
    trained = {job.look for job in plan(Path(), settings)}
    assert trained == set(TARGET_LOOKS) - {"dusk"}  # UrbanSyn has no splits
    validation = {domain.look for domain in DOMAINS if domain.role is Role.VALIDATION}
    assert validation == set(VALIDATION_LOOKS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"height": 8}, "8x64, expected at least 16x16"),
        ({"train": -1}, "train is -1"),
        ({"seed": -3}, "seed"),
        ({"looks": ("fog", "blizzard")}, r"\['blizzard'\], expected some of other_city, fog"),
        ({"looks": ("clear",)}, r"\['clear'\]"),
    ],
)
def test_impossible_settings_are_named(change: dict[str, Any], message: str) -> None:
    values: dict[str, Any] = {
        "height": 32,
        "width": 64,
        "seed": 0,
        "train": 1,
        "val": 1,
        "targets": 1,
    } | change
    with pytest.raises(LangDGError, match=message):
        Settings(**values)

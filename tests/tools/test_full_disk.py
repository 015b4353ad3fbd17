"""A disk that is full, whoever writes: one line that names the file, and what was there stays.

What is written            | by
style bank                 | StyleBank.save: mine_styles, train_net, import_famix
official style bank        | write_official_bank: import_famix --reverse
weights                    | write_weights: import_famix
benchmark.md, .csv, .json  | write_benchmark: train_net
measured times             | write: benchmark
report                     | write_report: train_net, write_report
styles.html                | write_style_report: show_styles
picture                    | write_png: demo, check_dataset --overlays
video                      | VideoWriter: demo
summary                    | summarize_runs
label maps                 | describe_datasets
uncompressed image, copy   | uncompress_images
"""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from runpy import run_path

import numpy as np
import pytest
import torch
from PIL import Image

from langdg_d2.data import copy_uncompressed
from langdg_d2.evaluation import BenchmarkRun, write_benchmark
from langdg_d2.modeling.checkpoint_files import write_weights
from langdg_d2.structures import CITYSCAPES_19
from langdg_d2.styles import BankHeader, StyleBank
from langdg_d2.utils.errors import report_errors
from langdg_d2.utils.file_io import make_folder, require_writable, write_atomically
from langdg_d2.visualization import write_report
from langdg_d2.visualization.sem_seg import write_png
from langdg_d2.visualization.styles import write_style_report

ROOT = Path(__file__).parents[2]
release = run_path(str(ROOT / "projects/famix/official_release.py"))
Write = Callable[[Path, int], object]  # into a folder, the first or second time


def bank(seed: int) -> StyleBank:
    header = BankHeader(
        clip_name="RN50",
        clip_fingerprint="0",
        layer="layer1",
        channels=2,
        grid=(3, 3),
        class_names=CITYSCAPES_19.names,
        ignore_label=255,
        source="gta5",
        seed=seed,
    )
    return StyleBank(
        header=header,
        mean=torch.full((4, 2), float(seed)),
        std=torch.rand(4, 2),
        class_id=torch.tensor([0, 1, 0, 1], dtype=torch.uint8),
        prompts=["a", "b", "c", "d"],
        cosine_before=torch.zeros(4),
        cosine_after=torch.ones(4),
    )


def benchmark(folder: Path, seed: int) -> None:
    results = {"fog": {"sem_seg": {"mIoU": 10.0 + seed, "IoU-road": 90.0}}}
    write_benchmark(results, BenchmarkRun(protocol="full", seed=seed), folder)


def times(folder: Path, seed: int) -> None:
    tool = run_path(str(ROOT / "tools/benchmark.py"))
    given = {"unit": "images", "peak": 1.0, "memory": 1, "machine": {"cpu": "x"}}
    variant, seconds = tool["Variant"](name="this project"), {"total": [1.0 + seed, 2.0]}
    measured = tool["result"](variant, seconds, items=1, operations=1, **given)
    tool["write"]([measured], folder, command="x")


def report(folder: Path, seed: int) -> None:
    runs = {k: folder.with_name(f"run{k}") for k in (1, 2)}
    if seed == 1:
        for k, run in runs.items():
            benchmark(run, k)
    write_report(runs[seed], folder / "report.html")


def styles(folder: Path, seed: int) -> None:
    write_style_report(bank(seed), folder, name="a", palette="classes")


def picture(folder: Path, seed: int) -> None:
    write_png(folder / "a.png", np.full((4, 4, 3), seed, np.uint8))


def uncompressed(folder: Path, seed: int) -> None:
    source = folder.with_name("source.png")
    source.parent.mkdir(exist_ok=True)
    Image.fromarray(np.full((4, 4, 3), seed, np.uint8)).save(source)
    copy_uncompressed(source, folder / "a.png")


def copied(folder: Path, seed: int) -> None:
    source = folder.with_name("source.txt")
    source.parent.mkdir(exist_ok=True)
    source.write_text(f"{seed}")
    copy_uncompressed(source, folder / "a.txt")


WRITERS: dict[str, Write] = {
    "style bank": lambda folder, seed: bank(seed).save(folder / "bank.safetensors"),
    "official bank": lambda folder, seed: release["write_official_bank"](
        folder / "bank.pkl", bank(seed)
    ),
    "weights": lambda folder, seed: write_weights(
        folder / "a.pth", {"a": torch.full((3,), seed)}, entry="model"
    ),
    "benchmark": benchmark,
    "times": times,
    "report": report,
    "styles.html": styles,
    "picture": picture,
    "uncompressed image": uncompressed,
    "copy": copied,
}


@pytest.fixture
def full_disk(monkeypatch) -> Callable[[str], None]:
    """Function that lets a step of writing fail from now on."""

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return lambda step: monkeypatch.setattr(os, step, full)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("name", WRITERS)
def test_earlier_files_stay_and_the_line_names_one(name, tmp_path, full_disk):
    folder = tmp_path / "results"
    WRITERS[name](folder, 1)
    before = contents(folder)
    full_disk("fsync")
    with pytest.raises(SystemExit) as stopped, report_errors():
        WRITERS[name](folder, 2)
    assert contents(folder) == before
    message = str(stopped.value.code)
    assert "No space left on device; nothing was changed: make room or choose" in message
    assert any(f"'{folder / file}'" in message for file in before)
    assert "\n" not in message


@pytest.mark.parametrize("name", WRITERS)
def test_written_twice_the_second_time_counts(name, tmp_path):
    folder = tmp_path / "new/results"
    WRITERS[name](folder, 1)
    first = contents(folder)
    WRITERS[name](folder, 2)
    second = contents(folder)
    assert set(first) == set(second)
    assert first != second


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_in_place_of_the_folder_is_named_and_kept(name, tmp_path):
    folder = tmp_path / "results"
    folder.write_text("mine")
    with pytest.raises(SystemExit, match="results' is a file, expected a folder"), report_errors():
        WRITERS[name](folder, 1)
    assert folder.read_text() == "mine"


def test_a_folder_in_place_of_the_file_is_named(tmp_path):
    (tmp_path / "a.md").mkdir()
    with pytest.raises(IsADirectoryError, match=r"a\.md' is a folder, expected the name of a fi"):
        write_atomically(tmp_path / "a.md", b"")
    assert list(tmp_path.iterdir()) == [tmp_path / "a.md"]


def test_places_are_looked_at_without_being_made(tmp_path, monkeypatch):
    require_writable(tmp_path / "a/b")
    assert not list(tmp_path.iterdir())
    make_folder(tmp_path / "a/b")
    (tmp_path / "a/b/file").write_text("")
    with pytest.raises(NotADirectoryError, match=r"a/b/file' is a file"):
        require_writable(tmp_path / "a/b/file/c/d")
    monkeypatch.setattr(os, "access", lambda place, _: place != tmp_path / "a")
    require_writable(tmp_path / "a/b/c")
    with pytest.raises(PermissionError, match=r"a' may not be written to; choose another output"):
        make_folder(tmp_path / "a/c")
    assert not (tmp_path / "a/c").exists()

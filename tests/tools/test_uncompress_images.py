"""A copied data set is read like the original."""

import os
import shutil
from pathlib import Path

import pytest
import torch
from detectron2.data import DatasetCatalog

from langdg_d2.data import TestMapper


def files(folder: Path) -> list[Path]:
    return sorted(f.relative_to(folder) for f in folder.rglob("*") if f.is_file())


def test_loader_gives_the_same_from_the_copy(load_tool, datasets, tmp_path, monkeypatch, capsys):
    tool = load_tool("uncompress_images")
    copied = tmp_path / "fast"
    tool.main([str(datasets / "gta5"), "--output", str(copied / "gta5")])
    assert files(copied / "gta5") == files(datasets / "gta5")
    pairs = []
    for root in (datasets, copied):
        monkeypatch.setenv("DETECTRON2_DATASETS", str(root))
        pairs.append([TestMapper()(record) for record in DatasetCatalog.get("gta5_sem_seg_train")])
    assert len(pairs[0]) == len(pairs[1]) > 0
    for ours, theirs in zip(*pairs, strict=True):
        assert all(torch.equal(ours[key], theirs[key]) for key in ("image", "sem_seg"))


@pytest.mark.parametrize("change", [Path.unlink, lambda path: os.utime(path, ns=(0, 1))])
def test_only_missing_and_outdated_copies_are_made(load_tool, datasets, tmp_path, change, capsys):
    tool = load_tool("uncompress_images")
    source = shutil.copytree(datasets / "gta5", tmp_path / "gta5")
    copied = tmp_path / "fast"
    tool.main([str(source), "--output", str(copied)])
    before = {file: file.stat().st_ctime_ns for file in copied.rglob("*.png")}
    changed = next(file for file in before if file.parent.name == "images")
    change(changed)
    tool.main([str(source), "--output", str(copied)])
    assert [file for file in before if file.stat().st_ctime_ns != before[file]] == [changed]
    assert "1 images newly stored" in capsys.readouterr().out


def test_a_folder_that_links_to_itself_is_copied_once(load_tool, datasets, tmp_path):
    source = tmp_path / "gta5"
    shutil.copytree(datasets / "gta5", source)
    expected = files(source)
    (source / "self").symlink_to(".")
    (source / "images" / "up").symlink_to(source)
    load_tool("uncompress_images").main([str(source), "--output", str(tmp_path / "copy")])
    assert files(tmp_path / "copy") == expected


@pytest.mark.parametrize(
    ("output", "words"), [("gta5", "choose another folder"), ("gta5/fast", "choose another folder")]
)
def test_the_original_is_never_written_to(load_tool, datasets, output, words, capsys):
    before = files(datasets / "gta5")
    with pytest.raises(SystemExit) as error:
        load_tool("uncompress_images").main(
            [str(datasets / "gta5"), "--output", str(datasets / output)]
        )
    assert error.value.code == 2
    assert words in capsys.readouterr().err
    assert files(datasets / "gta5") == before

"""A copied data set is read like the original."""

import shutil
from pathlib import Path

import numpy as np
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

    times = [file.stat().st_mtime_ns for file in sorted(copied.rglob("*.png"))]
    (copied / "gta5" / files(copied / "gta5")[0]).unlink()
    tool.main([str(datasets / "gta5"), "--output", str(copied / "gta5")])
    again = [file.stat().st_mtime_ns for file in sorted(copied.rglob("*.png"))]
    assert np.count_nonzero(np.array(times) != np.array(again)) == 1
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

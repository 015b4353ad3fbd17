"""The check of data sets as users run it: what it prints, the pictures it leaves, its exit code."""

import runpy
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from langdg_d2.visualization.sem_seg import LEGEND_HEIGHT

TOOL = Path(__file__).parents[2] / "tools/check_dataset.py"


@pytest.fixture(scope="module")
def tool(load_tool):
    return load_tool("check_dataset")


@pytest.fixture
def copy(datasets, tmp_path):
    """A copy of the data sets that a test may damage."""
    return shutil.copytree(datasets, tmp_path / "copy")


def test_good_copy_of_every_data_set_is_clean_and_absent_ones_are_listed(tool, datasets, capsys):
    options = ["--root", str(datasets), "--subset", "--workers", "2"]
    for name in ("gta5_sem_seg_all", "bdd100k_sem_seg_val", "acdc_night_sem_seg_val"):
        assert tool.main([name.partition("_sem_seg_")[0], *options]) == 0
        output = capsys.readouterr().out
        assert "Remedy" not in output
        assert f"{name}: 4 pairs, 4 looked at: no problem found" in output
    tool.main(["all", *options])
    output = capsys.readouterr().out
    present, absent = output.split("Not on this disk:")
    assert f"idd: no {datasets / 'idd'}; it comes from https://" in absent
    assert "idd" not in present
    assert "gta5" not in absent


def test_tiny_copy_is_no_release(tool, datasets, capsys):
    assert tool.main(["cityscapes", "--root", str(datasets), "--split", "val"]) == 1
    output = capsys.readouterr().out
    assert "4 of 500 images, 48x64 instead of 1024x2048, some in 'ulm'" in output
    assert "cityscapes_sem_seg_train" not in output


def test_breaks_in_several_data_sets_are_all_printed(tool, copy, capsys):
    broken = [copy / "gta5/labels/00002.png", copy / "mapillary/config.json"]
    broken[0].write_bytes(b"")
    broken[1].write_text("{}")
    shutil.rmtree(copy / "acdc")
    assert tool.main(["all", "--root", str(copy), "--subset"]) == 1
    output = capsys.readouterr().out
    for path in broken:
        assert str(path) in output
    assert "acdc_fog: no" in output.split("Not on this disk:")[1]


def test_root_without_any_data_set_is_no_good_copy(tool, tmp_path, capsys):
    assert tool.main(["all", "--root", str(tmp_path), "--split", "val"]) == 2
    captured = capsys.readouterr()
    assert f"no data set in '{tmp_path}'" in captured.err
    assert "cityscapes: no" in captured.out


def test_notes_are_printed_and_leave_the_exit_code_alone(tool, copy, capsys):
    path = copy / "synthia/RGB/0000001.png"
    Image.open(path).convert("RGBA").save(path)
    assert tool.main(["synthia", "--root", str(copy), "--subset"]) == 0
    assert "image with transparency" in capsys.readouterr().out


def test_single_data_set_that_is_absent_is_a_problem(tool, datasets, capsys):
    assert tool.main(["idd", "--root", str(datasets)]) == 1
    assert "Set DETECTRON2_DATASETS" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["kitti"], "no data set 'kitti'; there are gta5, "),
        (["gta5", "--split", "test"], "has no split ['test']; it has ['all', 'train', 'val']"),
        (["gta5", "--sample", "0"], "must be 1 or more"),
        (["gta5", "--root", "nowhere"], "'nowhere' is not a folder"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_what_is_right(
    tool, datasets, monkeypatch, capsys, arguments, says
):
    root = [] if "--root" in arguments else ["--root", str(datasets)]
    with pytest.raises(SystemExit) as stopped:
        tool.main([*arguments, *root])
    assert stopped.value.code == 2
    assert says in " ".join(capsys.readouterr().err.split())


def test_overlays_show_labels_over_readable_images_and_follow_the_seed(tool, copy, tmp_path):
    (copy / "mapillary/validation/labels/_-0Vz1Mz0aKyh9oRU4Hp01A.png").write_bytes(b"")
    command = ["mapillary", "--root", str(copy), "--subset", "--split", "val", "--overlays"]
    pictures = []
    for name in ("one", "two"):
        tool.main([*command, str(tmp_path / name)])
        written = sorted((tmp_path / name).iterdir())
        assert len(written) == 3
        pictures.append([cv2.imread(str(path)) for path in written])
    for one, two in zip(*pictures, strict=True):
        assert np.array_equal(one, two)
    # Image and overlay side by side, a title above, a legend below.
    height, width, _ = pictures[0][0].shape
    assert width >= 2 * 64
    assert height > 48 + LEGEND_HEIGHT


def test_overlay_that_cannot_be_written_is_an_error(tool, copy, tmp_path):
    for k in range(4):
        (tmp_path / f"synthia_sem_seg_val_{k:07d}.png").mkdir()
    with pytest.raises(SystemExit, match=r"error: .*synthia_sem_seg_val_\d+\.png' is a folder"):
        tool.main(["synthia", "--root", str(copy), "--split", "val", "--overlays", str(tmp_path)])


def test_runs_as_a_command_on_the_folder_of_the_environment(datasets, monkeypatch, capsys):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(datasets))
    monkeypatch.setattr(sys, "argv", [str(TOOL), "bdd100k", "--subset", "--sample", "2"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(TOOL), run_name="__main__")
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert "bdd100k_sem_seg_val: 4 pairs, 2 looked at: no problem found" in printed
    assert "share of pixels in %" in printed

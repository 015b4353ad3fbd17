"""SYNTHIA: 16-bit labels, splits by lists."""

import cv2
import numpy as np
import pytest
from detectron2.data import DatasetCatalog
from PIL import Image

from langdg_d2.data import DatasetError, ImageFileError, TestMapper, TrainMapper
from langdg_d2.data.checks import CopyCheck
from langdg_d2.data.datasets.builtin import FAMILIES

# Train id of raw id 0, 1, ... 22.
TRAIN_IDS = [255, 10, 2, 0, 1, 4, 8, 5, 13, 7, 11, 18, 17, 255, 255, 6, 9, 12, 14, 15, 16, 3, 255]


@pytest.fixture
def folder(write_datasets, tmp_path, monkeypatch):
    """A copy of SYNTHIA that a test may damage."""
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    return write_datasets(tmp_path, images=3) / "synthia"


def test_all_ids_of_the_first_channel_become_train_ids(folder):
    red = np.repeat(np.arange(23, dtype=np.uint16)[None], 48, axis=0)
    rgb = np.stack([red, 22 - red + 1000, red + 7], axis=-1)
    cv2.imwrite(str(folder / "GT/LABELS/0000001.png"), rgb[..., ::-1])
    Image.new("RGB", (23, 48)).save(folder / "RGB/0000001.png")
    record = DatasetCatalog.get("synthia_sem_seg_all")[1]
    for mapper in (TestMapper(), TrainMapper(augmentations=[])):
        assert mapper(record)["sem_seg"].tolist() == [TRAIN_IDS] * 48


def test_files_are_16_bit_and_their_other_channels_hold_anything(folder):
    raw = cv2.imread(str(folder / "GT/LABELS/0000001.png"), cv2.IMREAD_UNCHANGED)
    assert raw.dtype == np.uint16
    assert raw[..., :2].max() > 50_000
    assert raw[..., 2].max() <= 22


def test_lists_tell_the_splits_and_all_needs_none(folder):
    (folder / "train.txt").write_text("0000002.png\n")
    (folder / "val.txt").write_text("RGB/0000001.png\n0000000\n")
    ids = {
        split: [r["image_id"] for r in DatasetCatalog.get(f"synthia_sem_seg_{split}")]
        for split in ("train", "val", "all")
    }
    assert ids["train"] == ["0000002"]
    assert ids["val"] == ["0000001", "0000000"]
    for split in ("train", "val"):
        (folder / f"{split}.txt").unlink()
    records = DatasetCatalog.get("synthia_sem_seg_all")
    assert [r["image_id"] for r in records] == ids["all"] == ["0000000", "0000001", "0000002"]


def test_missing_or_empty_list_is_named_with_the_remedy(folder):
    (folder / "val.txt").write_text("\n \n")
    with pytest.raises(DatasetError, match=r"synthia/val\.txt' is empty, expected the name of an"):
        DatasetCatalog.get("synthia_sem_seg_val")
    (folder / "val.txt").unlink()
    with pytest.raises(DatasetError, match=r"synthia/val\.txt' does not exist.* the split 'all'"):
        DatasetCatalog.get("synthia_sem_seg_val")


def test_labels_cut_to_8_bits_are_refused_by_name(folder):
    path = folder / "GT/LABELS/0000001.png"
    Image.open(path).convert("RGB").save(path)
    record = DatasetCatalog.get("synthia_sem_seg_all")[1]
    with pytest.raises(ImageFileError, match=r"0000001\.png' is 8-bit RGB PNG, expected 16-bit"):
        TestMapper()(record)


@pytest.fixture
def divided(folder):
    """The copy as RobustNet's users have it: folders for the splits, and no lists."""
    for part in ("RGB", "GT/LABELS"):
        for split, names in {"train": ["0000000", "0000002"], "val": ["0000001"]}.items():
            (folder / part / split).mkdir()
            for name in names:
                (folder / part / f"{name}.png").rename(folder / part / split / f"{name}.png")
    for split in ("train", "val"):
        (folder / f"{split}.txt").unlink()
    return folder


def test_folders_tell_the_splits_as_well(divided):
    for split, ids in {
        "train": ["0000000", "0000002"],
        "val": ["0000001"],
        "all": ["0000000", "0000002", "0000001"],
    }.items():
        records = DatasetCatalog.get(f"synthia_sem_seg_{split}")
        assert [record["image_id"] for record in records] == ids
        for record in records:
            assert record["sem_seg_file_name"] == record["file_name"].replace("RGB", "GT/LABELS")
            assert TestMapper()(record)["sem_seg"].shape == (48, 64)


def test_check_looks_through_divided_folders(divided):
    check = CopyCheck(root=divided.parent, subset=True)
    for split in ("train", "val", "all"):
        assert not check.check(FAMILIES["synthia"], split).problems
    (divided / "RGB/val/0000001.png").unlink()
    for split, image in {"all": "val/0000001", "train": None}.items():
        found = check.check(FAMILIES["synthia"], split).problems
        named = [problem.path for cases in found.values() for problem in cases]
        assert named == ([str(divided / f"GT/LABELS/{image}.png")] if image else [])


def test_two_layouts_at_once_are_named_instead_of_choosing_one(divided):
    (divided / "train.txt").write_text("0000000.png")
    with pytest.raises(
        DatasetError, match=r"RGB/train', .*train\.txt' all define the split 'train'"
    ):
        DatasetCatalog.get("synthia_sem_seg_train")
    (divided / "RGB/0000009.png").touch()
    for split in ("train", "val", "all"):
        with pytest.raises(DatasetError, match=r"RGB', .*RGB/train', .*RGB/val' all hold images"):
            DatasetCatalog.get(f"synthia_sem_seg_{split}")

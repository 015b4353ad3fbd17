"""Data sets on disk: what is found, and what is said about incomplete copies."""

import re

import numpy as np
import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from scipy.io import savemat

from langdg_d2.data import DatasetError, TestMapper
from langdg_d2.structures import CITYSCAPES_19

NAMES = [
    f"{family}_sem_seg_{split}"
    for family in ("gta5", "cityscapes", "acdc_fog", "acdc_night", "acdc_rain", "acdc_snow")
    for split in ("train", "val")
]


@pytest.fixture
def copy(write_datasets, tmp_path, monkeypatch):
    """A copy of the data sets that a test may damage."""
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    return write_datasets(tmp_path, images=3)


@pytest.mark.parametrize("name", NAMES)
def test_every_data_set_is_found_and_its_pairs_can_be_read(datasets, monkeypatch, name):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(datasets))
    records = DatasetCatalog.get(name)
    assert len(records) == 4
    assert len({record["image_id"] for record in records}) == 4
    for record in records:
        output = TestMapper()(record)
        # In these files the red channel is 7 times the label id.
        raw = output["image"][0].numpy().astype(int) // 7
        label = output["sem_seg"].numpy()
        assert (label[raw == 7] == 0).all()
        assert (label[raw == 33] == 18).all()
        assert (label[raw == 0] == 255).all()


@pytest.mark.parametrize("name", NAMES)
def test_metadata_names_and_colours_the_classes(name):
    metadata = MetadataCatalog.get(name)
    assert metadata.stuff_classes == list(CITYSCAPES_19.names)
    assert metadata.stuff_colors == [list(color) for color in CITYSCAPES_19.colors]
    assert metadata.ignore_label == 255
    assert name.startswith(metadata.domain)


@pytest.mark.parametrize("name", NAMES)
def test_missing_folder_is_named_with_the_remedy(tmp_path, monkeypatch, name):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path / "nowhere"))
    with pytest.raises(DatasetError, match=r"nowhere.* does not exist. Set DETECTRON2_DATASETS"):
        DatasetCatalog.get(name)


@pytest.mark.parametrize(
    ("name", "damaged"),
    [
        ("gta5_sem_seg_train", "gta5/labels/00002.png"),
        ("gta5_sem_seg_train", "gta5/images/00002.png"),
        ("cityscapes_sem_seg_val", "cityscapes/gtFine/val/ulm/*000001*"),
        ("acdc_fog_sem_seg_val", "acdc/gt/fog/val/GOPR1/*000001*"),
    ],
)
def test_unpaired_file_is_named_and_counted(copy, name, damaged):
    for path in copy.glob(damaged):
        path.unlink()
    with pytest.raises(
        DatasetError, match=r"1 of 3 image-label pairs lack a file, such as .*0*[12]"
    ):
        DatasetCatalog.get(name)


def test_folder_without_images_is_named(copy):
    for path in copy.glob("cityscapes/leftImg8bit/val/ulm/*"):
        path.unlink()
    with pytest.raises(DatasetError, match=r"Cityscapes: no image matches .*leftImg8bit\.png"):
        DatasetCatalog.get("cityscapes_sem_seg_val")


def test_gta5_leaves_out_the_frames_known_to_mismatch(copy):
    for folder in ("images", "labels"):
        (copy / "gta5" / folder / "00002.png").rename(copy / "gta5" / folder / "02501.png")
    names = [r["image_id"] for r in DatasetCatalog.get("gta5_sem_seg_all")]
    assert names == ["00001", "00003"]


def test_gta5_takes_its_splits_from_a_list_file_or_from_the_authors_matlab_file(copy):
    (copy / "gta5/train.txt").write_text("00003.png\n00001\n")  # with or without suffix
    assert [r["image_id"] for r in DatasetCatalog.get("gta5_sem_seg_train")] == ["00003", "00001"]
    (copy / "gta5/train.txt").unlink()
    savemat(copy / "gta5/split.mat", {"trainIds": np.array([[2], [3]]), "valIds": np.array([[1]])})
    assert [r["image_id"] for r in DatasetCatalog.get("gta5_sem_seg_train")] == ["00002", "00003"]


def test_gta5_without_any_split_says_what_to_provide(copy):
    (copy / "gta5/train.txt").unlink()
    with pytest.raises(DatasetError, match=re.escape("or use the split 'all'")):
        DatasetCatalog.get("gta5_sem_seg_train")


def test_train_ids_serve_where_label_ids_are_missing(copy):
    expected = [TestMapper()(r)["sem_seg"] for r in DatasetCatalog.get("acdc_fog_sem_seg_val")]
    for path in copy.glob("acdc/gt/fog/val/GOPR1/*_labelIds.png"):
        path.unlink()
    records = DatasetCatalog.get("acdc_fog_sem_seg_val")
    assert {r["label_encoding"] for r in records} == {"train ids"}
    for record, label in zip(records, expected, strict=True):
        assert (TestMapper()(record)["sem_seg"] == label).all()

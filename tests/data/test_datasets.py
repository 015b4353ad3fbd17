"""Data sets on disk: what is found, and what is said about incomplete copies."""

import re
from pathlib import Path

import numpy as np
import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from scipy.io import savemat

from langdg_d2.data import DatasetError, TestMapper
from langdg_d2.data.datasets.builtin import FAMILIES
from langdg_d2.structures import CITYSCAPES_19

ACDC = ("acdc_fog", "acdc_night", "acdc_rain", "acdc_snow")
NAMES = [
    f"{family}_sem_seg_{split}"
    for family in ("gta5", "cityscapes", *ACDC)
    for split in ("train", "val")
]
# Those whose images do not tell their labels exactly.
OTHERS = [
    f"{family}_sem_seg_{split}"
    for family in ("synthia", "bdd100k", "mapillary", "mapillary_b", "acdc")
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


@pytest.mark.parametrize("name", OTHERS)
def test_every_other_data_set_is_found_and_each_label_belongs_to_its_image(
    datasets, monkeypatch, name
):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(datasets))
    records = DatasetCatalog.get(name)
    assert len(records) == (16 if name.startswith("acdc") else 4)
    assert len({record["image_id"] for record in records}) == len(records)
    for record in records:
        output = TestMapper()(record)
        assert output["image"].shape[1:] == output["sem_seg"].shape
        assert Path(record["file_name"]).stem.split("_rgb")[0] in record["sem_seg_file_name"]
        # Stripes of one class have one colour, but for what JPEG makes of it.
        red, label = output["image"][0].float(), output["sem_seg"]
        columns = red.std(dim=0)[3:-3]
        assert columns.max() < 6
        assert len(label[4:].unique(dim=0)) == 1


@pytest.mark.parametrize("name", [*NAMES, *OTHERS])
def test_metadata_names_and_colours_the_classes(name):
    metadata = MetadataCatalog.get(name)
    assert metadata.stuff_classes == list(CITYSCAPES_19.names)
    assert metadata.stuff_colors == [list(color) for color in CITYSCAPES_19.colors]
    assert metadata.ignore_label == 255
    assert name.startswith(metadata.domain)


@pytest.mark.parametrize("name", [*NAMES, *OTHERS])
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
        ("acdc_sem_seg_val", "acdc/gt/snow/val/GOPR1/*000001*"),
        ("synthia_sem_seg_val", "synthia/GT/LABELS/0000001.png"),
        ("synthia_sem_seg_train", "synthia/RGB/0000001.png"),
        ("bdd100k_sem_seg_val", "bdd100k/seg/labels/val/*01_train_id.png"),
        ("mapillary_sem_seg_val", "mapillary/validation/labels/*01A.png"),
        ("mapillary_b_sem_seg_train", "mapillary/training/labels/*01A.png"),
    ],
)
def test_unpaired_file_is_named_and_counted(copy, name, damaged):
    for path in copy.glob(damaged):
        path.unlink()
    with pytest.raises(
        DatasetError, match=r"1 of (3|12) image-label pairs lack a file, such as .*0*[12]"
    ):
        DatasetCatalog.get(name)


def test_folder_without_images_is_named(copy):
    for path in copy.glob("cityscapes/leftImg8bit/val/ulm/*"):
        path.unlink()
    with pytest.raises(DatasetError, match=r"Cityscapes: no image matches .*leftImg8bit\.png"):
        DatasetCatalog.get("cityscapes_sem_seg_val")


def test_acdc_together_is_its_four_conditions_with_ids_that_tell_them_apart(datasets, monkeypatch):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(datasets))
    expected = [
        (record["file_name"], record["sem_seg_file_name"], f"{name[5:]}_{record['image_id']}")
        for name in ACDC
        for record in DatasetCatalog.get(f"{name}_sem_seg_val")
    ]
    together = DatasetCatalog.get("acdc_sem_seg_val")
    found = [(r["file_name"], r["sem_seg_file_name"], r["image_id"]) for r in together]
    assert found == expected


def test_published_sizes_of_the_splits():
    counts = {name: dict(family.splits) for name, family in FAMILIES.items()}
    assert counts["gta5"] == {"train": None, "val": None, "all": 24_960}
    assert counts["synthia"] == {"train": None, "val": None, "all": 9400}
    assert counts["cityscapes"] == {"train": 2975, "val": 500}
    assert counts["bdd100k"] == {"train": 7000, "val": 1000}
    assert counts["mapillary"] == counts["mapillary_b"] == {"train": 18_000, "val": 2000}
    assert counts["acdc"] == {"train": 1600, "val": 406}
    assert [counts[name]["val"] for name in ACDC] == [100, 106, 100, 100]


def test_gta5_leaves_out_the_frames_known_to_mismatch(copy):
    for folder in ("images", "labels"):
        (copy / "gta5" / folder / "00002.png").rename(copy / "gta5" / folder / "02501.png")
    names = [r["image_id"] for r in DatasetCatalog.get("gta5_sem_seg_all")]
    assert names == ["00001", "00003"]


def test_gta5_takes_its_splits_from_a_list_file_or_from_the_authors_matlab_file(copy):
    # With or without suffix, folder and label.
    (copy / "gta5/train.txt").write_text("images/00003.png labels/00003.png\n\n00001\n")
    assert [r["image_id"] for r in DatasetCatalog.get("gta5_sem_seg_train")] == ["00003", "00001"]
    (copy / "gta5/train.txt").unlink()
    savemat(copy / "gta5/split.mat", {"trainIds": np.array([[2], [3]]), "valIds": np.array([[1]])})
    assert [r["image_id"] for r in DatasetCatalog.get("gta5_sem_seg_train")] == ["00002", "00003"]


@pytest.mark.parametrize("content", [{"testIds": [[1]]}, {"trainIds": []}], ids=["other", "empty"])
def test_gta5_matlab_file_without_the_split_is_named(copy, content):
    (copy / "gta5/train.txt").unlink()
    savemat(copy / "gta5/split.mat", content)
    with pytest.raises(DatasetError, match=r"split\.mat' has no frames under 'trainIds', expected"):
        DatasetCatalog.get("gta5_sem_seg_train")


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

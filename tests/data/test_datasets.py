"""Data sets on disk: what is found, and what is said about incomplete copies."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from PIL import Image
from scipy.io import savemat

from langdg_d2.data import DatasetError, SeededBatches, TestMapper, training_loader
from langdg_d2.data.checks import CopyCheck, Kind
from langdg_d2.data.datasets.builtin import FAMILIES, datasets_root
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
    assert counts["gta5"] == {"train": None, "val": None, "all": 24_904}
    assert counts["synthia"] == {"train": 6580, "val": 2820, "all": 9400}
    assert counts["cityscapes"] == {"train": 2975, "val": 500, "test": 1525}
    assert counts["bdd100k"] == {"train": 7000, "val": 1000, "test": 2000}
    assert counts["mapillary"] == counts["mapillary_b"] == {"train": 18_000, "val": 2000}
    assert counts["acdc"] == {"train": 1600, "val": 406, "test": 2000}
    assert [counts[name]["val"] for name in ACDC] == [100, 106, 100, 100]
    assert {counts[name]["test"] for name in ACDC} == {500}


@pytest.mark.parametrize("number", [15188, 17705, 20801, 20830, 20860])
def test_gta5_leaves_out_frames_known_to_mismatch(copy, number, caplog):
    for folder in ("images", "labels"):
        (copy / "gta5" / folder / "00002.png").rename(copy / "gta5" / folder / f"{number}.png")
    names = [r["image_id"] for r in DatasetCatalog.get("gta5_sem_seg_all")]
    assert names == ["00001", "00003"]
    assert caplog.messages == [
        "GTA5: 1 frames of the split 'all' are left out, as image and label differ in size: "
        f"{number}"
    ]


def test_gta5_split_of_known_mismatches_alone_is_refused(copy):
    for folder in ("images", "labels"):
        (copy / "gta5" / folder / "00002.png").rename(copy / "gta5" / folder / "15188.png")
    (copy / "gta5/train.txt").write_text("15188\n")
    with pytest.raises(DatasetError, match=r"all 1 frames of the split 'train' are left out"):
        DatasetCatalog.get("gta5_sem_seg_train")


@pytest.mark.parametrize("number", ["02501", "05001", "07501", "20001", "22501", "20800", "20861"])
def test_gta5_keeps_first_frames_of_archives(copy, number):
    for folder in ("images", "labels"):
        (copy / "gta5" / folder / "00002.png").rename(copy / "gta5" / folder / f"{number}.png")
    assert number in [r["image_id"] for r in DatasetCatalog.get("gta5_sem_seg_all")]


def test_gta5_leaves_out_other_frames_of_unequal_sizes(copy, caplog):
    label = copy / "gta5/labels/00002.png"
    Image.open(label).crop((0, 0, 64, 47)).save(label)
    for split in ("all", "train", "val"):
        names = [r["image_id"] for r in DatasetCatalog.get(f"gta5_sem_seg_{split}")]
        assert names == ["00001", "00003"]
        assert caplog.messages[-1].endswith("differ in size: 00002")
    warned = len(caplog.messages)
    assert len(DatasetCatalog.get("gta5_sem_seg_all")) == 2
    assert len(caplog.messages) == warned == 3


def test_gta5_of_images_and_labels_of_different_copies_is_refused(copy):
    for image in sorted((copy / "gta5/images").iterdir())[:2]:
        Image.open(image).resize((32, 24)).save(image)
    with pytest.raises(DatasetError, match=r"2 of 3 images differ in size from their labels"):
        DatasetCatalog.get("gta5_sem_seg_all")


def test_tilde_in_the_root_is_the_home_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("DETECTRON2_DATASETS", "~/data")
    assert datasets_root() == Path("/home/someone/data")


@pytest.mark.parametrize(
    ("name", "image", "test_image"),
    [
        ("cityscapes", "leftImg8bit/val/ulm/*", "leftImg8bit/test/berlin"),
        ("acdc_fog", "../acdc/rgb_anon/fog/val/GOPR1/*", "../acdc/rgb_anon/fog/test/GOPR9"),
        ("bdd100k", "seg/images/val/*", "seg/images/test"),
    ],
)
def test_splits_without_labels_give_images_of_their_size(copy, name, image, test_image):
    root = copy / name.split("_")[0]
    folder = root / test_image
    folder.mkdir(parents=True)
    for path in root.glob(image):
        shutil.copy(path, folder)
    records = DatasetCatalog.get(f"{name}_sem_seg_test")
    assert [set(record) for record in records] == 3 * [{"file_name", "image_id"}]
    output = TestMapper()(records[0])
    assert "sem_seg" not in output
    assert (output["height"], output["width"]) == (48, 64)
    assert output["image"].shape == (3, 48, 64)
    report = CopyCheck(root=copy, subset=True).check(FAMILIES[name], "test")
    assert report.is_good
    assert f"{name}_sem_seg_test: 3 images, 3 looked at: no problem" in report.text()
    Path(records[1]["file_name"]).write_bytes(b"")
    report = CopyCheck(root=copy, subset=True).check(FAMILIES[name], "test")
    assert [*report.problems] == [Kind.UNREADABLE]
    assert "it is empty" in report.text()
    for build in (
        lambda: training_loader(dataset=records, mapper=TestMapper(), total_batch_size=1, seed=0),
        lambda: SeededBatches(dataset=records, mapper=TestMapper(), batch_size=1, seed=0),
    ):
        with pytest.raises(DatasetError, match="have no labels: their split is only for"):
            build()


def test_all_conditions_of_acdc_have_a_test_split(copy):
    for condition in ("fog", "night", "rain", "snow"):
        folder = copy / "acdc/rgb_anon" / condition
        shutil.copytree(folder / "val", folder / "test")
    assert len(DatasetCatalog.get("acdc_sem_seg_test")) == 12


def test_gta5_takes_its_splits_from_a_list_file_or_from_the_authors_matlab_file(copy):
    # With or without suffix, folder and label.
    (copy / "gta5/train.txt").write_text("images/00003.png labels/00003.png\n\n00001\n")
    assert [r["image_id"] for r in DatasetCatalog.get("gta5_sem_seg_train")] == ["00003", "00001"]
    (copy / "gta5/train.txt").unlink()
    savemat(copy / "gta5/split.mat", {"trainIds": np.array([[2], [3]]), "valIds": np.array([[1]])})
    assert [r["image_id"] for r in DatasetCatalog.get("gta5_sem_seg_train")] == ["00002", "00003"]


def test_gta5_matlab_file_without_the_split_is_named(copy):
    (copy / "gta5/train.txt").unlink()
    savemat(copy / "gta5/split.mat", {"testIds": [[1]]})
    with pytest.raises(DatasetError, match=r"split\.mat' cannot be read as .* with 'trainIds'"):
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

"""Mapillary Vistas: both maps, odd and upright sizes, and versions that must not be confused."""

import json

import numpy as np
import pytest
from detectron2.data import DatasetCatalog
from PIL import Image

from langdg_d2.data import DatasetError, ImageFileError, TestMapper
from langdg_d2.structures.label_encoding import MAPILLARY_A

A = {
    0: [13, 24, 41], 1: [2, 15], 2: [17], 3: [6], 4: [3], 5: [45, 47], 6: [48], 7: [50], 8: [30],
    9: [29], 10: [27], 11: [19], 12: [20, 21, 22], 13: [55], 14: [61], 15: [54], 16: [58],
    17: [57], 18: [52],
}  # fmt: skip
B = A | {
    0: [7, 8, 10, 13, 14, 23, 24], 1: [2, 9, 11, 15], 5: [44, 45, 47], 7: [46, 49, 50],
}  # fmt: skip


@pytest.fixture
def folder(write_datasets, tmp_path, monkeypatch):
    """A copy of Mapillary Vistas that a test may damage."""
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    return write_datasets(tmp_path, images=4) / "mapillary"


def as_downloaded_with_v2(folder):
    """The layout of the later archive, with labels and classes of both versions."""
    (folder / "config.json").rename(folder / "config_v1.2.json")
    config = json.loads((folder / "config_v1.2.json").read_text())
    classes = config["labels"]
    barrier = {"name": "construction--barrier--ambiguous"}
    config |= {"labels": [*classes[:2], barrier, *classes[2:]] + 57 * [barrier], "version": "2.0"}
    (folder / "config_v2.0.json").write_text(json.dumps(config))
    for split in ("training", "validation"):
        (folder / split / "v1.2").mkdir()
        (folder / split / "labels").rename(folder / split / "v1.2/labels")
        (folder / split / "v2.0/labels").mkdir(parents=True)
        for label in (folder / split / "v1.2/labels").iterdir():
            ids = np.array(Image.open(label))
            Image.fromarray(np.minimum(ids + 40, 123)).save(
                folder / split / "v2.0/labels" / label.name
            )


@pytest.mark.parametrize(("name", "table"), [("mapillary", A), ("mapillary_b", B)])
def test_every_id_becomes_the_class_of_the_named_map(folder, name, table):
    record = DatasetCatalog.get(f"{name}_sem_seg_val")[0]
    label = Image.fromarray(np.arange(66, dtype=np.uint8)[None])
    label.putpalette([channel for k in range(66) for channel in MAPILLARY_A.colors[k]])
    label.save(record["sem_seg_file_name"])
    Image.new("RGB", (66, 1)).save(record["file_name"])
    found = TestMapper()(record)["sem_seg"][0].tolist()
    assert found == [next((k for k, ids in table.items() if raw in ids), 255) for raw in range(66)]


def test_images_of_odd_mixed_and_upright_sizes_keep_them(folder):
    records = DatasetCatalog.get("mapillary_sem_seg_val")
    sizes = {TestMapper()(record)["sem_seg"].shape for record in records}
    assert sizes == {(48, 64), (64, 48), (53, 77), (47, 61)}
    assert {Image.open(r["sem_seg_file_name"]).mode for r in records} == {"P"}


def test_splits_lie_in_folders_of_other_names(folder):
    for split, name in (("train", "training"), ("val", "validation")):
        for record in DatasetCatalog.get(f"mapillary_sem_seg_{split}"):
            assert f"/{name}/images/" in record["file_name"]
            assert f"/{name}/labels/" in record["sem_seg_file_name"]


@pytest.mark.parametrize("name", ["mapillary", "mapillary_b"])
def test_of_two_versions_the_labels_of_v1_2_are_used(folder, name):
    expected = [TestMapper()(r)["sem_seg"] for r in DatasetCatalog.get(f"{name}_sem_seg_val")]
    as_downloaded_with_v2(folder)
    records = DatasetCatalog.get(f"{name}_sem_seg_val")
    assert all("/v1.2/labels/" in record["sem_seg_file_name"] for record in records)
    for record, label in zip(records, expected, strict=True):
        assert (TestMapper()(record)["sem_seg"] == label).all()


def test_labels_of_v2_0_alone_are_refused(folder):
    as_downloaded_with_v2(folder)
    (folder / "validation/v1.2").rename(folder / "elsewhere")
    with pytest.raises(
        DatasetError, match=r"validation' holds labels of v2\.0 only.*Use version 1"
    ):
        DatasetCatalog.get("mapillary_sem_seg_val")


@pytest.mark.parametrize("beside", [True, False], ids=["with v1.2's classes", "without"])
@pytest.mark.parametrize("config", ["config.json", "config_v2.0.json"])
def test_labels_of_v2_0_in_the_place_of_v1_2_are_refused(folder, config, beside):
    as_downloaded_with_v2(folder)
    (folder / "validation/v1.2").rename(folder / "elsewhere")
    (folder / "validation/v2.0/labels").rename(folder / "validation/labels")
    (folder / "config_v2.0.json").rename(folder / config)
    if not beside:
        (folder / "config_v1.2.json").unlink()
    with pytest.raises(
        DatasetError,
        match=r"lists 124 classes of version 2\.0, expected the 66 of v1\.2; id 2 is "
        r"'construction--barrier--ambiguous', expected 'construction--barrier--curb'. Use",
    ):
        DatasetCatalog.get("mapillary_sem_seg_val")


def test_class_list_in_another_order_is_refused(folder):
    config = json.loads((folder / "config.json").read_text())
    labels = config["labels"]
    labels[13], labels[15] = labels[15], labels[13]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        DatasetError, match=r"config\.json' lists 66 .* id 13 is 'construction--flat--sidewalk'"
    ):
        DatasetCatalog.get("mapillary_sem_seg_val")


def test_short_class_list_is_refused(folder):
    config = json.loads((folder / "config.json").read_text())
    config["labels"] = config["labels"][:65]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(DatasetError, match=r"lists 65 .* id 65 is 'no class', expected 'void--un"):
        DatasetCatalog.get("mapillary_sem_seg_val")


def test_longer_class_list_is_refused(folder):
    config = json.loads((folder / "config.json").read_text())
    config["labels"].append({"name": "void--static"})
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        DatasetError, match=r"lists 67 .* id 66 is 'void--static', expected 'no class'"
    ):
        DatasetCatalog.get("mapillary_sem_seg_val")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"labels": 3}', '{"labels": [{"id": 1}]}'])
def test_broken_class_list_is_named(folder, text):
    (folder / "config.json").write_text(text)
    with pytest.raises(
        DatasetError, match=r"config\.json' is not a class list .* Copy it again from"
    ):
        DatasetCatalog.get("mapillary_sem_seg_val")


@pytest.mark.parametrize("later", [False, True], ids=["v1.2", "with v2.0"])
def test_labels_without_class_list_are_refused(folder, later):
    if later:
        as_downloaded_with_v2(folder)
    for config in folder.glob("config*.json"):
        config.unlink()
    with pytest.raises(
        DatasetError, match=r"has no config.*, which names the version of the labels"
    ):
        DatasetCatalog.get("mapillary_sem_seg_val")


def test_an_id_beyond_those_of_v1_2_is_named_when_read(folder):
    record = DatasetCatalog.get("mapillary_sem_seg_val")[0]
    ids = np.array(Image.open(record["sem_seg_file_name"]))
    ids[0, 0] = 66
    Image.fromarray(ids).save(record["sem_seg_file_name"])
    with pytest.raises(ImageFileError, match=r"labels/.*\.png': label ids \[66\] are not in the"):
        TestMapper()(record)

"""BDD100K: every layout and file name in use, and copies that leave open what counts."""

import shutil

import numpy as np
import pytest
from detectron2.data import DatasetCatalog
from PIL import Image

from langdg_d2.data import DatasetError, TestMapper

IMAGES = ["seg/images", "images/10k", "10k", "images"]
LABELS = ["seg/labels", "labels/sem_seg/masks", "bdd100k_seg_maps/labels", "labels"]
NAMES = ["_train_id.png", ".png"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Folder of BDD100K, still empty."""
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    (tmp_path / "bdd100k").mkdir()
    return tmp_path / "bdd100k"


def write_split(folder, images, labels, suffix, split="val"):
    """Two pairs; the label repeats the number of the image, and has one row of 255."""
    for k in range(2):
        image = folder / images / split / f"80a9e37d-e4548ac{k}.jpg"
        label = folder / labels / split / f"80a9e37d-e4548ac{k}{suffix}"
        for path in (image, label):
            path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 10), (100 * k, 0, 0)).save(image)
        train_ids = np.full((10, 20), 18 * k, np.uint8)
        train_ids[0] = 255
        Image.fromarray(train_ids).save(label)


@pytest.mark.parametrize("suffix", NAMES)
@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("images", IMAGES)
@pytest.mark.parametrize("nested", ["", "bdd100k/"], ids=["plain", "nested"])
def test_images_and_labels_are_found_wherever_releases_put_them(
    folder, nested, images, labels, suffix
):
    write_split(folder, nested + images, nested + labels, suffix)
    write_split(folder, nested + images, nested + labels, suffix, split="train")
    records = DatasetCatalog.get("bdd100k_sem_seg_val")
    assert [r["image_id"] for r in records] == ["80a9e37d-e4548ac0", "80a9e37d-e4548ac1"]
    for k, record in enumerate(records):
        output = TestMapper()(record)
        assert output["sem_seg"].tolist() == [[255] * 20] + [[18 * k] * 20] * 9
        assert abs(output["image"][0].float().mean() - 100 * k) < 3
        assert "/val/" in record["sem_seg_file_name"]


def test_generated_copies_can_have_either_layout(write_datasets, tmp_path, monkeypatch):
    labels = {}
    for name, layout in {
        "first": ("seg/images", "seg/labels", "_train_id.png"),
        "later": ("images/10k", "labels/sem_seg/masks", ".png"),
    }.items():
        monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path / name))
        write_datasets(tmp_path / name, images=2, bdd100k=layout)
        records = DatasetCatalog.get("bdd100k_sem_seg_val")
        labels[name] = [TestMapper()(record)["sem_seg"].tolist() for record in records]
    assert labels["first"] == labels["later"]


def test_other_files_beside_images_and_labels_do_not_matter(folder):
    write_split(folder, "seg/images", "seg/labels", "_train_id.png")
    for other in ("labels/100k/val/a.json", "images/100k/val/a.jpg", "seg/color_labels/val/a.png"):
        (folder / other).parent.mkdir(parents=True)
        (folder / other).touch()
    (folder / "images/10k/val").mkdir(parents=True)  # an empty folder is no copy
    assert len(DatasetCatalog.get("bdd100k_sem_seg_val")) == 2


def test_where_a_label_has_both_names_the_unmistakable_one_counts(folder):
    write_split(folder, "seg/images", "seg/labels", "_train_id.png")
    Image.new("RGB", (20, 10)).save(folder / "seg/labels/val/80a9e37d-e4548ac0.png")
    record = DatasetCatalog.get("bdd100k_sem_seg_val")[0]
    assert record["sem_seg_file_name"].endswith("80a9e37d-e4548ac0_train_id.png")


@pytest.mark.parametrize(
    ("part", "other"), [("images", "images/10k"), ("labels", "labels/sem_seg/masks")]
)
def test_two_copies_are_named_instead_of_choosing_one(folder, part, other):
    write_split(folder, "seg/images", "seg/labels", "_train_id.png")
    shutil.copytree(folder / f"seg/{part}", folder / other)
    with pytest.raises(DatasetError, match=rf"seg/{part}/val'.*{other}/val' all contain .* move"):
        DatasetCatalog.get("bdd100k_sem_seg_val")


@pytest.mark.parametrize("part", ["images", "labels"])
def test_no_copy_is_an_error_that_names_every_place(folder, part):
    write_split(folder, "seg/images", "seg/labels", "_train_id.png")
    shutil.rmtree(folder / "seg" / part)
    with pytest.raises(DatasetError, match=r"of the split 'val' in any of") as caught:
        DatasetCatalog.get("bdd100k_sem_seg_val")
    for place in IMAGES if part == "images" else LABELS:
        assert f"'{folder / place / 'val'}'" in str(caught.value)
    assert "bdd-data.berkeley.edu" in str(caught.value)


def test_image_without_label_is_explained_by_its_release(folder):
    write_split(folder, "images/10k", "labels/sem_seg/masks", ".png")
    (folder / "labels/sem_seg/masks/val/80a9e37d-e4548ac1.png").unlink()
    with pytest.raises(
        DatasetError, match=r"1 of 2 .*80a9e37d-e4548ac1\.png'; .*different releases.* again from"
    ):
        DatasetCatalog.get("bdd100k_sem_seg_val")

"""Folders of images and labels are a data set, and what they lack is named."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from PIL import Image
from torch.utils.data import DataLoader

from langdg_d2.data import DatasetError, ReadableImages, TrainMapper, source_dataset
from langdg_d2.data.datasets import register_labelled_folder
from langdg_d2.data.label_sample import check_labels
from langdg_d2.structures import LabelSpace
from langdg_d2.utils.errors import LangDGError

CLASSES = ["road", "rail", "tram"]
IDS = {0: None, 7: "road", 8: "rail", 9: "tram", 10: "tram"}
NAME = "labelled_folder_of_a_test"


def write(folder: Path, names: list[str], ids: list[int], end: str = "") -> None:
    for k, name in enumerate(names):
        label = np.resize(np.roll(np.array(ids, np.uint8), k), (8, 12))
        for part, suffix in (("images", ".jpg"), ("labels", f"{end}.png")):
            file = folder / part / f"{name}{suffix}"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(label).save(file)


@pytest.fixture(autouse=True)
def _unregistered() -> Iterator[None]:
    yield
    for catalog in (DatasetCatalog, MetadataCatalog):
        catalog.pop(NAME, None)


def test_pairs_are_found_by_name_in_all_folders(tmp_path: Path) -> None:
    write(tmp_path, ["a/1", "b/1", "2"], list(IDS), end="_ids")
    register_labelled_folder(NAME, tmp_path, classes=CLASSES, label_ids=IDS, label_end="_ids")
    records = source_dataset(names=NAME)
    assert [record["image_id"] for record in records] == ["2", "a/1", "b/1"]
    for record in records:
        place = Path(record["file_name"]).relative_to(tmp_path / "images").with_suffix("")
        assert record["sem_seg_file_name"] == str(tmp_path / f"labels/{place}_ids.png")


def test_ids_become_the_classes_they_stand_for_in_any_process(tmp_path: Path) -> None:
    write(tmp_path, ["1"], list(IDS))
    register_labelled_folder(NAME, tmp_path, classes=CLASSES, label_ids=IDS)
    records = source_dataset(names=NAME)
    check_labels(records, required=True, classes=LabelSpace(CLASSES))
    # A new process knows nothing of what this one has registered.
    images = ReadableImages(dataset=records, mapper=TrainMapper(augmentations=[]), limit=0)
    loader = DataLoader(images, batch_size=None, num_workers=1, multiprocessing_context="spawn")
    (mapped,) = loader
    expected = np.resize([255, 0, 1, 2, 2], (8, 12))
    assert np.array_equal(mapped["sem_seg"], expected)


def test_what_a_folder_lacks_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    register_labelled_folder(NAME, tmp_path, classes=CLASSES)
    with pytest.raises(DatasetError, match="there is no folder '.*images'"):
        source_dataset(names=NAME)
    write(tmp_path, ["1", "2"], [0, 1, 2])
    (tmp_path / "images/2.jpg").rename(tmp_path / "images/2.jfif")
    assert len(source_dataset(names=NAME)) == 1
    assert "1 labels have no image, such as" in caplog.text
    (tmp_path / "labels/1.png").unlink()
    with pytest.raises(DatasetError, match="1 of 1 images have no label"):
        source_dataset(names=NAME)


def test_unknown_classes_and_a_second_ignore_label_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LangDGError, match=r"name car, expected classes of \['road'"):
        register_labelled_folder(NAME, tmp_path, classes=CLASSES, label_ids={1: "car"})
    with pytest.raises(LangDGError, match="both ignore_label=0 and label_ids"):
        register_labelled_folder(NAME, tmp_path, classes=CLASSES, label_ids=IDS, ignore_label=0)


@pytest.mark.parametrize(("labels", "read"), [(9, 8), (3, 3)])
def test_classes_that_never_occur_are_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, labels: int, read: int
) -> None:
    write(tmp_path, [str(k) for k in range(labels)], [7, 8])
    register_labelled_folder(NAME, tmp_path, classes=CLASSES, label_ids=IDS)
    check_labels(source_dataset(names=NAME), required=True)
    assert f"none of {read} sampled labels" in caplog.text
    assert "contains tram: their ids may have another meaning" in caplog.text

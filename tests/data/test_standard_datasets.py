"""Standard Detectron2 data sets of semantic segmentation are read as train ids."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from PIL import Image

from langdg_d2.data import (
    DatasetError,
    ImageFileError,
    SeededBatches,
    TestMapper,
    TrainMapper,
    evaluation_loader,
    source_dataset,
    training_loader,
)
from langdg_d2.evaluation import StreamingSemSegEvaluator, protocol_dataset
from langdg_d2.structures import CITYSCAPES_19, LabelSpace, PatchGrid
from langdg_d2.utils.errors import LangDGError

NAME = "standard_sem_seg_train"
THREE = LabelSpace(["sand", "water", "rock"])
COUNT = 4
Register = Callable[..., list[np.ndarray]]


@pytest.fixture
def register(tmp_path) -> Iterator[Register]:
    """Function that registers a few pairs as Detectron2's users do; returns their labels."""

    def write(ids, **metadata) -> list[np.ndarray]:
        labels = [np.resize(np.roll(np.uint8(ids), k), (6, 9)) for k in range(COUNT)]
        for k, label in enumerate(labels):
            Image.fromarray(label).save(tmp_path / f"{k}_labels.png")
            Image.fromarray(np.full((6, 9, 3), k, np.uint8)).save(tmp_path / f"{k}.png")
        records = [
            {
                "file_name": str(tmp_path / f"{k}.png"),
                "sem_seg_file_name": str(tmp_path / f"{k}_labels.png"),
                "height": 6,
                "width": 9,
            }
            for k in range(COUNT)
        ]
        DatasetCatalog.register(NAME, lambda: records)
        MetadataCatalog.get(NAME).set(**metadata)
        return labels

    yield write
    DatasetCatalog.remove(NAME)
    MetadataCatalog.pop(NAME)


def batches_of(classes: LabelSpace) -> dict[str, list[list[dict]]]:
    """Every image of the set, as each of the three loaders gives them."""
    mapper = TrainMapper(augmentations=[], patch_grid=PatchGrid(1, 1))
    common = {"dataset": source_dataset(names=NAME), "mapper": mapper, "seed": 0}
    training = iter(training_loader(**common, total_batch_size=COUNT, classes=classes))
    evaluated = protocol_dataset(names=NAME, protocol="full", domain="own")
    return {
        "training": [next(training)],
        "mining": [SeededBatches(**common, batch_size=COUNT, classes=classes)[0]],
        "evaluation": list(
            evaluation_loader(dataset=evaluated, mapper=TestMapper(), classes=classes)
        ),
    }


@pytest.mark.parametrize(
    ("ids", "metadata", "classes"),
    [
        ([0, 1, 2, 2, 200], {"stuff_classes": list(THREE.names), "ignore_label": 200}, THREE),
        ([0, 1, 2, 2, 255], {"stuff_classes": list(THREE.names)}, THREE),
        ([0, 2, 8, 18, 255], {"stuff_classes": list(CITYSCAPES_19.names)}, CITYSCAPES_19),
        ([0, 2, 8, 18, 255], {}, CITYSCAPES_19),
    ],
    ids=["own classes, own ignore label", "own classes", "Cityscapes' classes", "no metadata"],
)
def test_labels_are_train_ids_for_every_loader(register, ids, metadata, classes):
    labels = register(ids, **metadata)
    ignored = metadata.get("ignore_label", 255)
    for batches in batches_of(classes).values():
        examples = [example for batch in batches for example in batch]
        assert {int(example["image"][0, 0, 0]) for example in examples} == set(range(COUNT))
        for example in examples:
            stored = labels[int(example["image"][0, 0, 0])]
            expected = np.where(stored == ignored, 255, stored)
            assert (example["sem_seg"].numpy() == expected).all()


def test_perfect_predictions_score_all(register):
    register([0, 1, 2, 2, 200], stuff_classes=list(THREE.names), ignore_label=200)
    evaluator = StreamingSemSegEvaluator(
        dataset_name=NAME, class_names=THREE.names, ignore_label=255
    )
    for batch in batches_of(THREE)["evaluation"]:
        predicted = [{"sem_seg": example["sem_seg"].clamp(max=2).long()} for example in batch]
        evaluator.process(batch, predicted)
    scores = evaluator.evaluate()["sem_seg"]
    assert (scores["mIoU"], scores["num_images"]) == (100, COUNT)


def test_a_label_beyond_the_classes_is_named(register):
    register([0, 1, 7], stuff_classes=list(THREE.names))
    with pytest.raises(ImageFileError, match=r"\d_labels\.png': label ids \[7\] are not in"):
        batches_of(THREE)


def test_classes_other_than_the_models_are_refused(register):
    register([0, 1, 2], stuff_classes=list(THREE.names))
    with pytest.raises(DatasetError, match="train id 0 .*'sand', but 'road' in model.classes"):
        batches_of(CITYSCAPES_19)


def test_ignore_labels_that_no_file_holds_are_refused(register):
    register([0, 1, 2], stuff_classes=list(THREE.names), ignore_label=-1)
    with pytest.raises(LangDGError, match="'ignore_label' is -1, expected .* 3 to 255"):
        batches_of(THREE)


def test_unknown_encodings_are_named_with_the_known_ones(register, tmp_path):
    register([0, 1, 2])
    record = source_dataset(names=NAME)[0] | {"label_encoding": "mine"}
    with pytest.raises(LangDGError, match=r"'mine' of '.*_labels\.png' is unknown.*train ids"):
        TestMapper()(record)
    assert torch.is_tensor(TestMapper()(record | {"label_encoding": "train ids"})["sem_seg"])

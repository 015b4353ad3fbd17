"""Sampling of rare classes: probabilities by the paper's formula, and exact resumption."""

from itertools import islice

import numpy as np
import pytest
from PIL import Image

from langdg_d2.data import RareClasses, TrainingStream, training_loader
from langdg_d2.structures import LabelSpace
from langdg_d2.utils.errors import LangDGError

CLASSES = LabelSpace(names=["road", "wall", "train", "bike"])
# Pixels of each class in each image of 10 x 10; the rest is ignored.
PIXELS = np.array([[80, 0, 0, 0], [60, 30, 0, 0], [50, 10, 8, 0], [70, 20, 0, 2]])


@pytest.fixture
def dataset(tmp_path) -> list[dict]:
    records = []
    for k, counts in enumerate(PIXELS):
        label = np.full(100, 255, np.uint8)
        label[: counts.sum()] = np.repeat(np.arange(4), counts)
        path = tmp_path / f"{k}.png"
        Image.fromarray(label.reshape(10, 10)).save(path)
        record = {"file_name": str(path), "sem_seg_file_name": str(path), "id": k}
        records.append(record | {"stuff_classes": CLASSES.names, "ignore_label": 255})
    return records


@pytest.fixture
def prepared(dataset):
    def prepare(**settings) -> RareClasses:
        rare = RareClasses(**settings)
        rare.prepare(dataset, 4)
        return rare

    return prepare


def test_probabilities_follow_the_papers_formula(prepared):
    shares = PIXELS.sum(0) / PIXELS.sum()
    expected = np.exp((1 - shares) / 0.3)
    found = prepared(temperature=0.3, min_pixels=0).probabilities
    assert found == pytest.approx(expected / expected.sum())
    expected[3] = 0  # no image has more than five pixels of it
    found = prepared(temperature=0.3, min_pixels=5).probabilities
    assert found == pytest.approx(expected / expected.sum())
    assert np.isfinite(prepared(temperature=1e-4, min_pixels=5).probabilities).all()


def test_images_are_uniform_among_those_with_enough(prepared):
    rare = prepared(temperature=0.5, min_pixels=9)
    drawn = np.bincount([rare.image(seed) for seed in range(6000)], minlength=4) / 6000
    has = PIXELS > 9
    expected = (has / np.maximum(has.sum(0), 1)) @ rare.probabilities
    assert drawn == pytest.approx(expected, abs=0.025)


def test_streams_are_exact_from_any_batch(dataset):
    def ids(**options):
        loader = training_loader(
            dataset=dataset,
            mapper=dict,
            total_batch_size=4,
            seed=5,
            rare_classes=RareClasses(temperature=0.3, min_pixels=1),
            classes=CLASSES,
            **options,
        )
        return [[record["id"] for record in batch] for batch in islice(loader, 9)]

    unbroken = ids()
    assert ids(first_batch=4, num_workers=2)[:5] == unbroken[4:]
    assert {k for batch in unbroken for k in batch} >= {1, 2, 3}


def test_settings_that_cannot_be_are_refused(dataset, prepared):
    with pytest.raises(LangDGError, match="temperature 0 of rare classes must be positive"):
        RareClasses(temperature=0)
    with pytest.raises(LangDGError, match="no image has more than 3000 pixels of any class"):
        prepared()
    rare = prepared(min_pixels=0)
    with pytest.raises(LangDGError, match="source_weights and rare_classes"):
        TrainingStream(
            dataset=dataset, mapper=dict, seed=0, source_weights={"a": 1}, rare_classes=rare
        )

"""Boxes of classes, the pool of scenes, and batches made of it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streets.clip.batches import Batches, BatchSettings, PlaceIndex
from streets.clip.boxes import class_share, find_boxes
from streets.clip.captions import UNKNOWN, Meaning, truth
from streets.clip.crops import Pool, PoolSettings, draw_pool, open_pool, scene_look
from streets.sample import draw_sample

from langdg_d2.structures import CITYSCAPES_19
from langdg_d2.structures.label_encoding import GTA5_LABEL_IDS
from langdg_d2.utils.errors import LangDGError

CLIP = str(Path(__file__).parents[1] / "configs/small_clip.json")
SETTINGS = PoolSettings(scenes=24, seed=9_300_000, height=64, width=128)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small pool on disk."""
    folder = tmp_path_factory.mktemp("pool")
    draw_pool(folder, SETTINGS, workers=1)
    return folder


@pytest.fixture(scope="module")
def pool(folder: Path) -> Pool:
    """The same, opened."""
    return open_pool(folder)


def test_boxes_lie_inside_and_show_their_class() -> None:
    labels = draw_sample(seed=3, look="clear", index=0, size=(256, 512)).label_ids
    train_ids = GTA5_LABEL_IDS.decode(labels)
    boxes = find_boxes(labels, np.random.default_rng(0))
    assert len(set(boxes[:, 0].tolist())) >= 6
    for class_id, *box in boxes.tolist():
        top, left, bottom, right = box
        assert 0 <= top < bottom <= 256
        assert 0 <= left < right <= 512
        assert max(bottom - top, right - left) <= 160
        assert min(bottom - top, right - left) >= 24
        assert class_share(train_ids, (top, left, bottom, right), class_id) >= 0.1


def test_a_lone_object_is_found_where_it_is() -> None:
    labels = np.full((256, 512), 7, np.uint8)  # road
    labels[100:140, 200:280] = 26  # a car
    boxes = find_boxes(labels, np.random.default_rng(0))
    cars = boxes[boxes[:, 0] == CITYSCAPES_19.names.index("car")]
    assert len(cars) == 1
    _, top, left, bottom, right = cars[0].tolist()
    assert 90 <= top <= 100 <= 140 <= bottom <= 150
    assert 185 <= left <= 200 <= 280 <= right <= 295
    assert set(boxes[:, 0].tolist()) == {0, CITYSCAPES_19.names.index("car")}


def test_a_pool_holds_the_scenes_of_its_seed(pool: Pool) -> None:
    for index in (0, 7, 23):
        look = scene_look(SETTINGS, index)
        drawn = draw_sample(seed=SETTINGS.seed, look=look, index=index, size=(64, 128))
        assert np.array_equal(pool.images[index], drawn.image)


def test_a_pool_is_completed_where_it_was_cut(folder: Path, pool: Pool) -> None:
    kept = np.array(pool.images)
    done = np.load(folder / "done.npy", mmap_mode="r+")
    images = np.load(folder / "images.npy", mmap_mode="r+")
    done[5], images[5] = False, 0
    images[6] = 1  # done, so not drawn again
    with pytest.raises(FileNotFoundError, match="complete"):
        open_pool(folder)
    draw_pool(folder, SETTINGS, workers=1)
    again = open_pool(folder)
    assert np.array_equal(again.images[5], kept[5])
    assert (again.images[6] == 1).all()
    images[6] = kept[6]


def test_a_pool_of_other_settings_is_refused(folder: Path) -> None:
    with pytest.raises(FileExistsError, match="other settings"):
        draw_pool(folder, PoolSettings(scenes=24, seed=1, height=64, width=128), workers=1)


def test_crops_are_what_is_in_the_box(pool: Pool) -> None:
    scene, number = np.argwhere(pool.boxes[..., 0] == 0)[0]
    top, left, bottom, right = pool.boxes[scene, number, 1:]
    inside = pool.images[scene, top:bottom, left:right]
    crop = pool.cut(np.array([scene, number]), 32)
    assert crop.shape == (32, 32, 3)
    assert crop.mean(axis=(0, 1)) == pytest.approx(inside.mean(axis=(0, 1)), abs=6)
    moved = pool.cut(np.array([scene, number]), 32, np.random.default_rng(0))
    assert not np.array_equal(moved, crop)


def _batches(folder: Path, **changes: Any) -> Batches:
    settings = BatchSettings(images=16, looks=3, **changes)
    return Batches(folder=folder, clip_name=CLIP, settings=settings, sizes={0: 32, 5: 64}, steps=10)


def test_batches_depend_on_their_number_alone(folder: Path) -> None:
    first, second = _batches(folder), _batches(folder)
    assert (first[4].images == second[4].images).all()
    assert (first[4].tokens == second[4].tokens).all()
    assert first[4].images.shape == (16, 3, 32, 32)
    assert first[5].images.shape == (16, 3, 64, 64)
    assert first[4].tokens.shape[0] == first[4].truth.shape[1]


def test_a_ramp_begins_with_images_as_rendered(folder: Path) -> None:
    batches = _batches(folder, plain_share=0.0, unnamed_share=0.0, ramp=(2, 8))
    counts = {k: (batches[k].truth > 0).sum(dim=1).tolist() for k in (0, 2, 5, 8, 9)}
    assert counts[0] == counts[2] == [1] * 16  # the class alone
    assert set(counts[5]) == {1, 3}
    assert counts[8] == counts[9] == [3] * 16


def test_too_few_scenes_for_all_looks_are_refused(pool: Pool) -> None:
    with pytest.raises(LangDGError, match="needs more scenes"):
        PlaceIndex(Pool(pool.images[:2], pool.boxes[:2], pool.looks[:2]))


def test_truth_in_a_batch_is_of_the_images(folder: Path) -> None:
    batch = _batches(folder, plain_share=0.0, unnamed_share=1.0)[0]
    assert batch.truth.shape == (16, len(CITYSCAPES_19))
    classes = batch.truth.argmax(dim=1).tolist()
    images = [Meaning(k, UNKNOWN) for k in classes]
    captions = [Meaning(k, UNKNOWN) for k in range(len(CITYSCAPES_19))]
    assert (batch.truth.numpy() == truth(images, captions)).all()

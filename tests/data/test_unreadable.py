"""Others stand in for unreadable images, up to a limit, whoever reads them."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from detectron2.config import LazyConfig
from PIL import Image
from torch.utils.data import DataLoader

from langdg_d2.data import ImageFileError, ReadableImages, SeededBatches, TrainMapper
from langdg_d2.engine import apply_overrides
from langdg_d2.utils.errors import LangDGError

COUNT = 12


@pytest.fixture
def records(tmp_path: Path) -> list[dict]:
    """Pairs of one colour each, whose red tells the place."""
    found = []
    for k in range(COUNT):
        image, label = str(tmp_path / f"image{k}.png"), str(tmp_path / f"label{k}.png")
        Image.new("RGB", (9, 6), (k, 0, 0)).save(image)
        Image.new("L", (9, 6), k).save(label)
        found.append(
            {"file_name": image, "sem_seg_file_name": label, "label_encoding": "train ids"}
        )
    return found


def of_another_size(record: dict) -> None:
    Image.new("RGB", (9, 5)).save(record["file_name"])


def without_label(record: dict) -> None:
    Path(record["sem_seg_file_name"]).unlink()


def cut(record: dict) -> None:
    file = Path(record["file_name"])
    file.write_bytes(file.read_bytes()[:40])


BREAKS: dict[str, Callable[[dict], None]] = {
    "is 5x9 and its label": of_another_size,
    "label5.png' does not exist": without_label,
    "image5.png' is not an image": cut,
}


def readable(records: list[dict], limit: int) -> ReadableImages:
    return ReadableImages(dataset=records, mapper=TrainMapper(augmentations=[]), limit=limit)


def places(images: ReadableImages | DataLoader) -> list[int]:
    """The place that every image comes from."""
    return [int(example["image"][0, 0, 0]) for example in images]


@pytest.mark.parametrize("says", BREAKS)
def test_without_a_limit_the_first_unreadable_image_is_an_error(records, says) -> None:
    BREAKS[says](records[5])
    with pytest.raises(ImageFileError, match=says):
        places(readable(records, 0))


@pytest.mark.parametrize("says", BREAKS)
def test_another_image_stands_in_and_the_reason_is_told_once(records, says, caplog) -> None:
    BREAKS[says](records[5])
    images = readable(records, 1)
    first, second = places(images), places(images)
    assert first == second
    assert [k for k, place in enumerate(first) if k != place] == [5]
    (message,) = [text for text in caplog.messages if "replaced an" in text]  # others: dark images
    assert "(1 of at most 1)" in message
    assert says in message


def test_what_stands_in_depends_on_nothing_that_was_read_before(records) -> None:
    for k in (2, 5, 7):
        cut(records[k])
    expected = places(readable(records, 3))
    backwards = readable(records, 3)
    assert [int(backwards[k]["image"][0, 0, 0]) for k in reversed(range(COUNT))] == expected[::-1]
    assert not {expected[k] for k in (2, 5, 7)} & {2, 5, 7}
    assert len({expected[k] for k in (2, 5, 7)}) > 1  # not always the same


def test_more_than_the_limit_are_listed(records) -> None:
    for k in (2, 5, 7):
        cut(records[k])
    with pytest.raises(ImageFileError, match="3 images .*unreadable_limit 2 allows: ") as raised:
        places(readable(records, 2))
    assert all(records[k]["file_name"] in str(raised.value) for k in (2, 5, 7))
    assert "image4.png" not in str(raised.value)


def test_workers_count_together(records) -> None:
    for k in (2, 5):
        cut(records[k])

    def load(limit: int) -> list[int]:
        images = readable(records, limit)
        loader = DataLoader(images, batch_size=None, num_workers=2, timeout=60)
        return places(loader)

    assert load(2) == places(readable(records, 2))
    with pytest.raises(ImageFileError, match="2 images cannot be used, more than .*limit 1"):
        load(1)


def test_mining_goes_on_as_well(records, caplog) -> None:
    cut(records[5])
    batches = SeededBatches(
        dataset=records,
        mapper=TrainMapper(augmentations=[]),
        batch_size=4,
        seed=0,
        unreadable_limit=1,
    )
    with caplog.at_level(logging.WARNING):
        seen = [place for k in range(3) for place in places(batches[k])]
    assert len(seen) == COUNT
    assert set(seen) == set(range(COUNT)) - {5}
    assert sum("replaced an unreadable image" in message for message in caplog.messages) == 1


@pytest.mark.parametrize("limit", [-1, COUNT])
def test_limits_without_sense_are_refused(records, limit) -> None:
    with pytest.raises(LangDGError, match=rf"unreadable_limit (is )?{limit}\b"):
        readable(records, limit)


def test_a_limit_that_a_whole_source_fits_into_is_refused(records) -> None:
    named = [record | {"source": "few" if k < 3 else "many"} for k, record in enumerate(records)]
    with pytest.raises(LangDGError, match="unreadable_limit is 3 with 3 images of source 'few'"):
        readable(named, 3)
    assert len(readable(named, 2)) == COUNT


def test_images_that_can_be_read_come_as_the_mapper_gives_them(records) -> None:
    mapper = TrainMapper(augmentations=[])
    for limit in (0, 3):
        images = readable(records, limit)
        assert len(images) == COUNT
        for k in range(COUNT):
            found, expected = images[k], mapper(records[k])
            assert list(found) == list(expected)
            assert np.array_equal(found["sem_seg"], expected["sem_seg"])


def test_one_key_of_the_configs_is_the_limit_of_training_and_mining() -> None:
    config = Path(__file__).parents[2] / "configs/langdg_gta5.py"
    cfg = LazyConfig.load(str(config))
    assert cfg.dataloader.train.unreadable_limit == 0
    cfg = apply_overrides(cfg, ["dataloader.train.unreadable_limit=7"])
    assert cfg.styles.mining.batches.unreadable_limit == 7

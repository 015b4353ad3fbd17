"""Batches depend on the seed and their number alone."""

import re
import shutil

import numpy as np
import pytest

from langdg_d2.data import SeededBatches, copy_uncompressed
from langdg_d2.data.datasets.builtin import FAMILIES
from langdg_d2.data.sources import images_fingerprint
from langdg_d2.structures import ENCODINGS, LabelEncoding
from langdg_d2.utils.errors import LangDGError


def mapper(record):
    return {"id": record["id"], "drawn": np.random.rand()}


def build(seed=0, size=10, batch_size=3, **options):
    dataset = [{"id": k} for k in range(size)]
    return SeededBatches(
        dataset=dataset, mapper=mapper, batch_size=batch_size, seed=seed, **options
    )


def test_one_pass_holds_every_image_at_most_once_in_full_batches():
    batches = build()
    assert len(batches) == 3
    ids = [x["id"] for k in range(3) for x in batches[k]]
    assert len(set(ids)) == len(ids) == 9


def test_a_batch_is_the_same_whenever_and_by_whomever_it_is_asked_for():
    first = [build()[k] for k in (0, 1, 2)]
    np.random.seed(99)
    again = [build()[k] for k in (2, 0, 1)]
    assert [again[1], again[2], again[0]] == first
    assert build(seed=1)[0] != first[0]
    assert len({x["drawn"] for batch in first for x in batch}) == 9


def test_global_randomness_goes_on_as_if_nothing_had_been_drawn():
    np.random.seed(7)
    expected = np.random.rand(2)
    np.random.seed(7)
    drawn = [np.random.rand()]
    build()[0]
    assert [*drawn, np.random.rand()] == expected.tolist()


def test_fingerprint_tells_the_files_and_their_order_but_not_where_they_lie():
    def fingerprint(names, folder="/data/gta5"):
        return images_fingerprint([{"file_name": f"{folder}/{name}"} for name in names])

    names = ["a/1.png", "a/2.png", "b/1.png"]
    found = fingerprint(names)
    assert re.fullmatch("3 images, [0-9a-f]{16}", found)
    assert fingerprint(names, "/other/place") == found
    assert fingerprint(names[:1]).startswith("1 images, ")
    others = [names[::-1], names[:2], [*names, "b/2.png"], ["a/1.png", "a/2.png", "b/3.png"]]
    assert len({found, *map(fingerprint, others)}) == 5


@pytest.mark.parametrize("batch_size", [0, 11])
def test_batch_that_the_data_set_cannot_fill_is_refused(batch_size):
    remedy = rf"10 images cannot fill a batch of {batch_size}: set styles\.mining\.batches"
    with pytest.raises(LangDGError, match=remedy):
        build(batch_size=batch_size)


def test_an_empty_data_set_is_refused():
    with pytest.raises(LangDGError, match="the data set to mine is empty"):
        build(size=0)


def test_limit_leaves_the_first_batches():
    some = build(max_batches=2)
    assert [some[k] for k in range(len(some))] == [build()[k] for k in (0, 1)]
    assert len(build(max_batches=7)) == 3
    with pytest.raises(LangDGError, match="max_batches is 0, expected .* 1 or more"):
        build(max_batches=0)


def test_fingerprint_tells_what_the_ids_of_labels_mean(monkeypatch):
    record = {"file_name": "/a/1.png", "sem_seg_file_name": "/a/1_labels.png"}

    def own(table):
        monkeypatch.setitem(ENCODINGS, "own", LabelEncoding("own", table))
        return images_fingerprint([record | {"label_encoding": "own"}])

    first = own({0: 0, 1: 255})
    assert own({0: 0, 1: 255}) == first
    assert own({0: 1, 1: 255}) != first
    standard = [record | {"stuff_classes": classes} for classes in (("a", "b"), ("b", "a"))]
    assert len({images_fingerprint([one]) for one in standard}) == 2


def test_fingerprint_takes_names_of_any_bytes_and_relative_ones(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ["a/stra\udcdfe.png", "b/1.png"]
    relative = images_fingerprint([{"file_name": name} for name in names])
    assert relative == images_fingerprint([{"file_name": f"{tmp_path}/{name}"} for name in names])


def test_fingerprint_tells_labels_by_name_and_size_wherever_they_lie(datasets, tmp_path):
    def fingerprint(root):
        return images_fingerprint(FAMILIES["cityscapes"].load(root, "train"))

    whole = fingerprint(datasets)
    copy = tmp_path / "copy"
    shutil.copytree(datasets / "cityscapes", copy / "cityscapes")
    assert fingerprint(copy) == whole
    for image in copy.glob("cityscapes/leftImg8bit/train/*/*.png"):
        copy_uncompressed(image, image)
    assert fingerprint(copy) == whole
    label = next(copy.glob("cityscapes/gtFine/train/*/*_labelIds.png"))
    content = label.read_bytes()
    label.write_bytes(content + b"!")
    longer = fingerprint(copy)
    label.write_bytes(content)
    label.rename(str(label).replace("_labelIds", "_labelTrainIds"))
    found = [whole, longer, fingerprint(copy)]
    assert len({*found}) == 3
    # What else there is to know of the data set is the same.
    assert len({one.partition(", labels ")[0] for one in found}) == 1


def test_missing_labels_are_left_to_those_who_read_them():
    pair = {"file_name": "/nowhere/a.png", "sem_seg_file_name": "/nowhere/b.png"}
    assert images_fingerprint([pair]) == images_fingerprint([pair])

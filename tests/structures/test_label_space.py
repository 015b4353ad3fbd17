"""The class table and the raw-id maps, against the published ones."""

import numpy as np
import pytest

from langdg_d2.structures import (
    CITYSCAPES_19,
    ENCODINGS,
    LabelEncoding,
    LabelSpace,
    class_subsets,
    classes_named,
)
from langdg_d2.structures.label_encoding import CITYSCAPES_LABEL_IDS, GTA5_LABEL_IDS, TRAIN_IDS
from langdg_d2.utils.errors import LangDGError

# Label id of train id 0..18, as the Cityscapes benchmark publishes them.
TRAIN_TO_LABEL_ID = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]


def test_label_ids_map_to_train_ids():
    raw = np.arange(34, dtype=np.uint8).reshape(2, 17)
    decoded = CITYSCAPES_LABEL_IDS.decode(raw).ravel()
    expected = [TRAIN_TO_LABEL_ID.index(k) if k in TRAIN_TO_LABEL_ID else 255 for k in range(34)]
    assert decoded.tolist() == expected


def test_gta5_adds_the_licence_plate_and_knows_no_255():
    assert GTA5_LABEL_IDS.decode(np.array([[34, 7]], np.uint8)).tolist() == [[255, 0]]
    with pytest.raises(LangDGError, match=r"label ids \[255\].*'GTA5 label ids'"):
        GTA5_LABEL_IDS.decode(np.array([[255]], np.uint8))


def test_train_ids_map_to_themselves():
    raw = np.array([[*range(19), 255]], np.uint8)
    assert (TRAIN_IDS.decode(raw) == raw).all()


def test_decoding_equals_a_dictionary_lookup():
    rng = np.random.default_rng(0)
    raw = rng.integers(0, 34, (13, 17)).astype(np.uint8)
    before = raw.copy()
    for encoding in (CITYSCAPES_LABEL_IDS, GTA5_LABEL_IDS):
        slow = [[encoding.raw_to_train[int(v)] for v in row] for row in raw]
        assert encoding.decode(raw).tolist() == slow
    assert (raw == before).all()


@pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=ENCODINGS)
def test_every_encoding_covers_all_classes(encoding: LabelEncoding):
    reached = set(encoding.raw_to_train.values())
    assert reached == {*range(len(CITYSCAPES_19)), CITYSCAPES_19.ignore_label}


def test_classes_have_distinct_names_and_colours():
    assert len(CITYSCAPES_19) == len(set(CITYSCAPES_19.names)) == len(set(CITYSCAPES_19.colors))
    assert CITYSCAPES_19.names[0] == "road"
    assert CITYSCAPES_19.colors[CITYSCAPES_19.names.index("car")] == (0, 0, 142)


def test_a_label_space_that_contradicts_itself_is_refused():
    with pytest.raises(LangDGError, match="2 class names, but 1 colours"):
        LabelSpace(names=("a", "b"), colors=((0, 0, 0),), ignore_label=255)
    with pytest.raises(LangDGError, match="ignore_label 0 is the train id of 'a'"):
        LabelSpace(names=("a",), colors=((0, 0, 0),), ignore_label=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"names": []}, "expected 1 to 255 texts"),
        ({"names": "road"}, "expected 1 to 255 texts"),
        ({"names": [1, 2]}, "expected 1 to 255 texts"),
        ({"names": [str(k) for k in range(256)]}, "expected 1 to 255 texts"),
        ({"names": ["a", "b", "a"]}, r"several classes have the names \['a'\]"),
        ({"names": ["a"], "colors": [(0, 0, 256)]}, r"expected \(red, green, blue\) in 0..255"),
        ({"names": ["a"], "colors": [(0, 0)]}, r"expected \(red, green, blue\) in 0..255"),
        ({"names": ["a", "b"], "ids": [1]}, "2 class names, but 1 ids"),
        ({"names": ["a"], "ids": [-1]}, "expected whole numbers from 0"),
    ],
)
def test_what_is_not_a_list_of_classes_is_refused(arguments, message):
    with pytest.raises(LangDGError, match=message):
        LabelSpace(**arguments)


@pytest.mark.parametrize("count", [1, 5, 25, 255])
def test_names_alone_get_colours_that_differ(count):
    classes = LabelSpace([f"class {k}" for k in range(count)])
    colors = np.array([(0, 0, 0), (255, 255, 255), *classes.colors])
    distances = np.linalg.norm(colors[:, None] - colors, axis=-1)
    assert distances[~np.eye(count + 2, dtype=bool)].min() >= 42
    assert LabelSpace(**classes.plain()) == classes


def test_subsets_are_of_the_cityscapes_classes_alone():
    assert set(class_subsets(list(CITYSCAPES_19.names))) == {"19", "16", "13"}
    assert class_subsets((*CITYSCAPES_19.names, "caravan")) == {}
    assert classes_named(list(CITYSCAPES_19.names)) is CITYSCAPES_19
    assert classes_named(["a"]).names == ("a",)

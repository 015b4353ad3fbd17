"""The maps of SYNTHIA and Mapillary Vistas, against lists of the ids that make up each class."""

import numpy as np
import pytest

from langdg_d2.structures import CITYSCAPES_19, CLASS_SUBSETS, LabelEncoding
from langdg_d2.structures.label_encoding import (
    CITYSCAPES_LABEL_IDS,
    MAPILLARY_A,
    MAPILLARY_B,
    SYNTHIA_LABEL_IDS,
    TRAIN_IDS,
)
from langdg_d2.utils.errors import LangDGError

# Raw ids of train id 0, 1, ... 18.
SYNTHIA = [3, 4, 2, 21, 5, 7, 15, 9, 6, 16, 1, 10, 17, 8, 18, 19, 20, 12, 11]
MAPILLARY = [
    {13, 24, 41},
    {2, 15},
    {17},
    {6},
    {3},
    {45, 47},
    {48},
    {50},
    {30},
    {29},
    {27},
    {19},
    {20, 21, 22},
    {55},
    {61},
    {54},
    {58},
    {57},
    {52},
]
# What the other map adds to and takes from classes: (train id, added ids, taken ids).
B_CHANGES = {
    0: ({7, 8, 10, 14, 23}, {41}),
    1: ({9, 11}, set()),
    5: ({44}, set()),
    7: ({46, 49}, set()),
}


def members(encoding: LabelEncoding, count: int) -> list[set[int]]:
    """Raw ids that become each of the train ids, found by decoding all of them."""
    decoded = encoding.decode(np.arange(count, dtype=np.uint16)[None])[0]
    assert set(decoded[~np.isin(decoded, range(19))].tolist()) <= {255}
    return [set(np.flatnonzero(decoded == k).tolist()) for k in range(19)]


def test_synthia():
    assert members(SYNTHIA_LABEL_IDS, 23) == [{raw} for raw in SYNTHIA]


def test_mapillary_map_a():
    assert members(MAPILLARY_A, 66) == MAPILLARY


def test_mapillary_map_b_differs_on_eleven_ids():
    expected = [set(ids) for ids in MAPILLARY]
    for train_id, (added, taken) in B_CHANGES.items():
        expected[train_id] = (expected[train_id] | added) - taken
    assert members(MAPILLARY_B, 66) == expected
    a, b = MAPILLARY_A.raw_to_train, MAPILLARY_B.raw_to_train
    assert sum(a[raw] != b[raw] for raw in range(66)) == 11


@pytest.mark.parametrize(
    ("encoding", "known"),
    [(SYNTHIA_LABEL_IDS, 23), (MAPILLARY_A, 66), (MAPILLARY_B, 66)],
    ids=["SYNTHIA", "A", "B"],
)
@pytest.mark.parametrize("beyond", [0, 1, 190, 300, 60_000])
def test_ids_beyond_the_last_are_named(encoding, known, beyond):
    raw = known + beyond
    with pytest.raises(LangDGError, match=rf"label ids \[{raw}\] are not in the '{encoding.name}'"):
        encoding.decode(np.array([[0, raw]], np.uint16))


@pytest.mark.parametrize("raw", [256, 256 + 7, 65_535])
def test_wide_ids_do_not_wrap_to_255(raw):
    for encoding in (TRAIN_IDS, CITYSCAPES_LABEL_IDS):
        assert encoding.decode(np.array([[255]], np.uint16)).tolist() == [[255]]
        with pytest.raises(LangDGError, match=rf"label ids \[{raw}\] are not in the"):
            encoding.decode(np.array([[255, raw]], np.uint16))


def test_8_and_16_bit_ids_decode_alike():
    raw = np.random.default_rng(0).integers(0, 66, (9, 11))
    narrow, wide = (
        MAPILLARY_A.decode(raw.astype(np.uint8)),
        MAPILLARY_A.decode(raw.astype(np.uint16)),
    )
    assert narrow.dtype == wide.dtype == np.uint8
    assert (narrow == wide).all()


@pytest.mark.parametrize(
    ("encoding", "name", "classes"),
    [
        (MAPILLARY_A, "construction--flat--road", "road"),
        (MAPILLARY_A, "marking--general", "road"),
        (MAPILLARY_A, "object--manhole", "road"),
        (MAPILLARY_A, "construction--barrier--curb", "sidewalk"),
        (MAPILLARY_A, "object--support--utility-pole", "pole"),
        (MAPILLARY_A, "object--traffic-sign--front", "traffic sign"),
        (MAPILLARY_A, "human--rider--other-rider", "rider"),
        (MAPILLARY_A, "object--vehicle--on-rails", "train"),
        (MAPILLARY_B, "construction--flat--bike-lane", "road"),
        (MAPILLARY_B, "construction--flat--crosswalk-plain", "road"),
        (MAPILLARY_B, "construction--flat--parking", "road"),
        (MAPILLARY_B, "construction--flat--service-lane", "road"),
        (MAPILLARY_B, "marking--crosswalk-zebra", "road"),
        (MAPILLARY_B, "construction--flat--curb-cut", "sidewalk"),
        (MAPILLARY_B, "construction--flat--pedestrian-area", "sidewalk"),
        (MAPILLARY_B, "object--street-light", "pole"),
        (MAPILLARY_B, "object--support--traffic-sign-frame", "traffic sign"),
        (MAPILLARY_B, "object--traffic-sign--back", "traffic sign"),
        (SYNTHIA_LABEL_IDS, "pedestrian", "person"),
        (SYNTHIA_LABEL_IDS, "wall", "wall"),
    ],
)
def test_raw_names_stand_beside_the_right_ids(encoding, name, classes):
    (raw,) = (raw for raw, raw_name in encoding.raw_names.items() if raw_name == name)
    assert CITYSCAPES_19.names[encoding.raw_to_train[raw]] == classes


@pytest.mark.parametrize(("encoding", "count"), [(SYNTHIA_LABEL_IDS, 23), (MAPILLARY_A, 66)])
def test_every_raw_id_has_a_name_of_its_own(encoding, count):
    assert list(encoding.raw_names) == list(encoding.raw_to_train) == list(range(count))
    assert len(set(encoding.raw_names.values())) == count


def test_mapillary_lists_its_classes_by_kind_in_alphabetical_order():
    names = [MAPILLARY_A.raw_names[raw] for raw in range(66)]
    assert names == sorted(names)
    assert MAPILLARY_B.raw_names == MAPILLARY_A.raw_names


def test_synthia_alone_keeps_its_ids_in_the_first_of_three_channels():
    assert SYNTHIA_LABEL_IDS.channel == 0
    assert MAPILLARY_A.channel is None


def test_class_subsets_are_the_fields():
    names = CITYSCAPES_19.names
    assert CLASS_SUBSETS["19"] == names
    left_out = {key: [n for n in names if n not in CLASS_SUBSETS[key]] for key in CLASS_SUBSETS}
    assert left_out["16"] == ["terrain", "truck", "train"]
    assert left_out["13"] == ["wall", "fence", "pole", "terrain", "truck", "train"]
    for key, subset in CLASS_SUBSETS.items():
        assert len(subset) == int(key)
        assert list(subset) == sorted(subset, key=names.index)

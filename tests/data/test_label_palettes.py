"""Labels of palette images mean the same however a program has numbered the palette."""

import numpy as np
import pytest
from PIL import Image

from langdg_d2.data import ImageFileError
from langdg_d2.data.label_io import read_train_ids
from langdg_d2.structures import ENCODINGS, LabelEncoding
from langdg_d2.structures.label_encoding import (
    CITYSCAPES_LABEL_IDS,
    GTA5_LABEL_IDS,
    MAPILLARY_A,
    TRAIN_IDS,
)

COLORED = [encoding for encoding in ENCODINGS.values() if encoding.colors]
# Black in the data set, and colours that no other id shares.
GTA5_IDS = [0, 1, 4, 7, 8, 11, 21, 23]


def save(path, indices, colors):
    image = Image.fromarray(np.asarray(indices, np.uint8))
    image.putpalette([int(channel) for color in colors for channel in color])
    image.save(path)
    assert Image.open(path).mode == "P"
    return str(path)


def ids_of(values, seed=0):
    return np.random.default_rng(seed).choice(np.uint8(values), (20, 30))


def full_palette(encoding):
    return np.maximum(encoding.color_table, 0)


def renumbered(path, ids, colors, order):
    """A file whose palette has only the used colours, in another order."""
    used = np.unique(ids)
    used = order(used)
    table = np.zeros(256, np.uint8)
    table[used] = np.arange(len(used))
    return save(path, table[ids], [colors[raw] for raw in used])


@pytest.mark.parametrize("encoding", COLORED, ids=lambda encoding: encoding.name)
def test_the_data_sets_own_palette_keeps_its_ids(tmp_path, encoding):
    ids = np.uint8([sorted(encoding.raw_to_train)])
    path = save(tmp_path / "a.png", ids, full_palette(encoding))
    assert (read_train_ids(path, encoding) == encoding.decode(ids)).all()


@pytest.mark.parametrize("order", [np.sort, np.flip, np.random.default_rng(3).permutation])
@pytest.mark.parametrize(
    ("encoding", "values"),
    [
        (GTA5_LABEL_IDS, GTA5_IDS),
        (CITYSCAPES_LABEL_IDS, [0, 7, 8, 11, 23]),
        (MAPILLARY_A, range(66)),
        (TRAIN_IDS, range(19)),
    ],
    ids=["gta5", "cityscapes", "mapillary", "train ids"],
)
def test_renumbered_palettes_give_ids_by_colour(tmp_path, encoding, values, order):
    ids = ids_of(list(values))
    path = renumbered(tmp_path / "a.png", ids, full_palette(encoding), order)
    assert (read_train_ids(path, encoding) == encoding.decode(ids)).all()


@pytest.mark.parametrize("order", [np.sort, np.flip])
@pytest.mark.parametrize(
    ("encoding", "values"),
    [
        (TRAIN_IDS, [0, 2, 8, 13, 255]),
        (CITYSCAPES_LABEL_IDS, [0, 3, 7, 26, 33]),
        (CITYSCAPES_LABEL_IDS, [7, 11]),
        (GTA5_LABEL_IDS, [7, 26, 34]),
    ],
)
def test_grey_palettes_give_ids_by_value(tmp_path, encoding, values, order):
    ids = ids_of(values)
    grey = np.repeat(np.arange(256)[:, None], 3, axis=1)
    path = renumbered(tmp_path / "a.png", ids, grey, order)
    assert (read_train_ids(path, encoding) == encoding.decode(ids)).all()
    path = save(tmp_path / "b.png", ids, grey)
    assert (read_train_ids(path, encoding) == encoding.decode(ids)).all()


@pytest.mark.parametrize(
    ("indices", "colors", "says"),
    [
        ([[0, 1]], [(0, 0, 142), (128, 64, 128)], r"index 0 has the colour \(0, 0, 142\)"),
        ([[0, 20]], 17 * [(128, 64, 128)], r"index 20 has no colour"),
        ([[0, 1]], [(128, 64, 128), (1, 2, 3)], r"index 1 has the colour \(1, 2, 3\)"),
        # Unlabeled and static by colour, unlabeled and traffic sign by grey value.
        ([[5, 6]], 5 * [(9, 9, 9)] + [(0, 0, 0), (20, 20, 20)], r"index 5 .* nothing says which"),
    ],
    ids=["car or plate", "too short", "foreign", "grey or colour"],
)
def test_palettes_that_leave_ids_open_are_refused(tmp_path, indices, colors, says):
    path = save(tmp_path / "a.png", indices, colors)
    with pytest.raises(ImageFileError, match=rf"a\.png'.* not that of GTA5 label ids.*{says}"):
        read_train_ids(path, GTA5_LABEL_IDS)


def test_ids_without_a_class_may_have_any_colour(tmp_path):
    colors = full_palette(GTA5_LABEL_IDS)
    colors[[4, 5, 6]] = [(0, 0, 0), (1, 2, 3), (200, 10, 90)]
    ids = ids_of([4, 5, 6, 7, 26])
    path = save(tmp_path / "a.png", ids, colors)
    assert (read_train_ids(path, GTA5_LABEL_IDS) == GTA5_LABEL_IDS.decode(ids)).all()


def test_black_and_white_of_classes_are_not_ids_without_one(tmp_path):
    unlabeled, marking = (0, 0, 0), (255, 255, 255)
    path = save(tmp_path / "a.png", [[0, 1, 2]], [unlabeled, marking, (128, 64, 128)])
    assert read_train_ids(path, MAPILLARY_A).tolist() == [[255, 0, 0]]
    path = save(tmp_path / "b.png", [[0, 1]], [unlabeled, marking])
    assert read_train_ids(path, MAPILLARY_A).tolist() == [[255, 0]]


def test_indices_are_ids_where_no_colours_are_known(tmp_path):
    own = LabelEncoding("own", {0: 0, 1: 1, 40: 0})
    path = save(tmp_path / "a.png", [[0, 1]], [(200, 0, 0), (0, 200, 0)])
    assert read_train_ids(path, own).tolist() == [[0, 1]]
    # Colours of one's own, of which an image may use the greys alone.
    colors = [(0, 0, 0), (255, 255, 255), (200, 0, 0)]
    path = save(tmp_path / "b.png", [[0, 1]], colors)
    masks = LabelEncoding("masks", {0: 0, 1: 1, 2: 2, 255: 255})
    assert read_train_ids(path, masks).tolist() == [[0, 1]]


def test_a_palette_of_greys_is_read_where_one_reading_fits(tmp_path):
    path = save(tmp_path / "a.png", [[0, 1]], [(10, 10, 10), (40, 40, 40)])
    assert read_train_ids(path, LabelEncoding("own", {10: 0, 40: 1})).tolist() == [[0, 1]]
    assert read_train_ids(path, LabelEncoding("own", {0: 1, 1: 0})).tolist() == [[1, 0]]
    # A road mask in black and white: 1 may be a class, or 255 what is ignored.
    path = save(tmp_path / "b.png", [[0, 1]], [(0, 0, 0), (255, 255, 255)])
    with pytest.raises(ImageFileError, match="nothing says which id is meant"):
        read_train_ids(path, LabelEncoding("own", {0: 0, 1: 1, 255: 255}))

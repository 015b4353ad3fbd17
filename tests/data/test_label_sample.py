"""A look at some labels refuses sets that cannot be right, and lets the others pass."""

import logging
import re
import shutil

import cv2
import numpy as np
import pytest
from detectron2.data import DatasetCatalog
from PIL import Image

from langdg_d2.data import (
    DatasetError,
    ImageFileError,
    SeededBatches,
    TestMapper,
    evaluation_loader,
    training_loader,
)
from langdg_d2.data.label_io import read_train_ids
from langdg_d2.data.label_sample import check_labels
from langdg_d2.structures import CITYSCAPES_19, ENCODINGS, LabelEncoding, LabelSpace
from langdg_d2.structures.label_encoding import (
    CITYSCAPES_LABEL_IDS,
    GTA5_LABEL_IDS,
    MAPILLARY_B,
    TRAIN_IDS,
    URBANSYN_TRAIN_IDS,
)

STREET = np.uint8([7, 8, 11, 21, 23, 26])
TUNNEL = np.uint8([0, 4, 7, 16])
AS_TRAIN_IDS = np.uint8([0, 1, 2, 8, 10, 13])


@pytest.fixture
def labels_of(tmp_path):
    """Function that writes labels of the given ids, and gives their dataset dicts."""

    def write(*kinds, encoding=CITYSCAPES_LABEL_IDS):
        records = []
        for k, ids in enumerate(kinds):
            image, label = tmp_path / f"{k:03d}.png", tmp_path / f"{k:03d}_labels.png"
            Image.new("RGB", (12, 8), (k % 256, 99, 88)).save(image)
            Image.fromarray(np.resize(np.roll(np.uint8(ids), k), (8, 12))).save(label)
            record = {"file_name": str(image), "image_id": f"{k}"}
            record |= {"sem_seg_file_name": str(label), "label_encoding": encoding.name}
            records.append(record)
        return records

    return write


LOADERS = {
    "training": lambda records, classes=None: training_loader(
        dataset=records, mapper=TestMapper(), total_batch_size=1, seed=0, classes=classes
    ),
    "mining": lambda records, classes=None: SeededBatches(
        dataset=records, mapper=TestMapper(), batch_size=1, seed=0, classes=classes
    ),
    "evaluation": lambda records, classes=None: evaluation_loader(
        dataset=records, mapper=TestMapper(), classes=classes
    ),
}


@pytest.mark.parametrize("build", LOADERS.values(), ids=LOADERS)
def test_sets_without_a_labelled_pixel_are_refused(labels_of, build):
    records = labels_of(*30 * [[0]])
    with pytest.raises(DatasetError, match=r"30 of 30 .* no pixel of a class.*_labels.png'"):
        build(records)
    build(labels_of(*29 * [[0]], STREET))


@pytest.mark.parametrize("build", LOADERS.values(), ids=LOADERS)
def test_train_ids_under_the_name_of_raw_ids_are_refused(labels_of, build):
    records = labels_of(*30 * [AS_TRAIN_IDS])
    with pytest.raises(DatasetError, match="16 of 16 .*train ids instead of raw ids"):
        build(records)
    build(labels_of(*4 * [TUNNEL], *26 * [STREET]))


@pytest.mark.parametrize(
    ("encoding", "ids", "lacking"),
    [
        # Most of their pixels have a class, so that no label is odd by itself.
        (CITYSCAPES_LABEL_IDS, [7, 8, 11, 0, 8, 13, 7, 8], "vegetation, sky, car"),  # train ids
        (MAPILLARY_B, [7, 8, 11, 21, 23, 26], "building, vegetation, sky, car"),  # Cityscapes ids
        (TRAIN_IDS, [0, 1, 2, 7, 9, 12], "vegetation, sky, car"),  # one too low
    ],
)
def test_classes_missing_in_every_label_are_named(labels_of, caplog, encoding, ids, lacking):
    check_labels(labels_of(*7 * [ids], encoding=encoding), required=True)
    assert " contains " not in caplog.text  # of too few labels
    check_labels(labels_of(*9 * [ids], encoding=encoding), required=True)
    assert "none of 8 sampled labels" in caplog.text
    assert f"contains {lacking.replace(', ', ' or ')}: their ids may have" in caplog.text
    caplog.clear()
    raw = {train: raw for raw, train in encoding.raw_to_train.items()}
    complete = [raw[k] for k in (0, 2, 8, 10, 13)]
    check_labels(labels_of(*8 * [ids], complete, complete, encoding=encoding), required=True)
    assert " contains " not in caplog.text


def street(shift: int = 0) -> np.ndarray:
    """Sky over buildings and trees over a road between sidewalks, with a car, a pole and a sign."""
    train_ids = np.full((120, 240), 10, np.uint8)
    train_ids[30:70, :100], train_ids[24:70, 150:], train_ids[60:72] = 2, 8, 9
    train_ids[70:], train_ids[70:84, :60], train_ids[74:100, 110:140] = 0, 1, 13
    train_ids[48:84, 100], train_ids[48:52, 96:106], train_ids[112:] = 5, 7, 255
    rows, columns = np.mgrid[:120, :240]
    train_ids[np.hypot(rows - 40, columns - 150) < 15] = 8
    return np.roll(train_ids, shift, axis=1)


def write_labels(records, labels):
    for record, label in zip(records, labels, strict=True):
        Image.fromarray(label).save(record["sem_seg_file_name"])
    return records


ONE_TOO_HIGH = np.arange(1, 257).astype(np.uint8)
ONE_TOO_LOW = np.uint8([255, *range(18), *[255] * 237])  # as by reduce_zero_label
OF_16_CLASSES = np.full(256, 255, np.uint8)  # SYNTHIA's usual ones: no terrain, truck and train
OF_16_CLASSES[[k for k in range(19) if k not in (9, 14, 16)]] = range(16)


@pytest.mark.parametrize("encoding", [TRAIN_IDS, URBANSYN_TRAIN_IDS], ids=lambda one: one.name)
@pytest.mark.parametrize(
    ("ids", "found"),
    [
        (ONE_TOO_HIGH, ["sidewalk than road", "wall than building", "truck than car"]),
        (ONE_TOO_LOW, ["sidewalk than road", "terrain than sky", "rider than car"]),
        (OF_16_CLASSES, ["terrain than sky", "rider than car"]),
    ],
    ids=["high", "low", "16"],
)
def test_train_ids_of_other_classes_are_warned_of(labels_of, caplog, encoding, ids, found):
    labels = [street(shift) for shift in range(0, 90, 10)]
    for label in labels:
        label[80:84, :12], label[84:86, :4], label[86:88, :4], label[88:90, :4] = 11, 12, 14, 15
    records = labels_of(*9 * [[0]], encoding=encoding)
    check_labels(write_labels(records, labels), required=True)
    assert not caplog.messages
    check_labels(write_labels(records, [ids[label] for label in labels]), required=True)
    assert "their ids may be shifted by one or have another meaning" in caplog.text
    assert all(pair in caplog.text for pair in found)


def test_classes_of_like_size_are_not_warned_of(labels_of, caplog):
    records = labels_of(*9 * [[0]], encoding=TRAIN_IDS)
    rising = np.append(np.repeat(np.arange(19), np.arange(50, 69)), 255).astype(np.uint8)
    check_labels(write_labels(records, [np.roll(rising, k)[None] for k in range(9)]), required=True)
    assert not caplog.messages


@pytest.mark.parametrize("void", [255, 19])
def test_every_label_of_train_ids_under_another_name_is_named(labels_of, caplog, void):
    train_ids = np.where(street() == 255, void, street()).astype(np.uint8)
    first, second = write_labels(labels_of([0], [0]), 2 * [train_ids])
    for record in (first, first, second):
        read_train_ids(record["sem_seg_file_name"], CITYSCAPES_LABEL_IDS)
    assert len(caplog.messages) == 2
    assert first["sem_seg_file_name"] in caplog.messages[0]
    assert "possible train ids instead of raw ids" in caplog.messages[0]


@pytest.mark.parametrize(
    ("width", "height"),
    [(120, 60), (160, 80), (180, 90), (360, 180), (240, 90), (180, 120)],
    ids=lambda side: f"{side}",
)
@pytest.mark.parametrize("of_pillow", [False, True], ids=["OpenCV", "Pillow"])
def test_labels_resized_by_interpolation_are_warned_of(labels_of, caplog, width, height, of_pillow):
    raw = {train: raw for raw, train in GTA5_LABEL_IDS.raw_to_train.items() if train != 255}
    table = np.uint8([raw.get(train, 0) for train in range(256)])
    labels = [table[street(shift)] for shift in range(0, 99, 11)]
    records = labels_of(*9 * [[0]], encoding=GTA5_LABEL_IDS)
    size = (width, height)

    def resize(label, *, interpolate):
        if of_pillow:
            way = Image.Resampling.BILINEAR if interpolate else Image.Resampling.NEAREST
            return np.array(Image.fromarray(label).resize(size, way))
        way = cv2.INTER_LINEAR if interpolate else cv2.INTER_NEAREST
        return cv2.resize(label, size, interpolation=way)

    for interpolate in (False, True):
        assert not caplog.messages
        resized = [resize(label, interpolate=interpolate) for label in labels]
        check_labels(write_labels(records, resized), required=True)
    (message,) = caplog.messages
    assert "may have been resized with interpolation" in message
    for record in records:  # which nothing else would tell
        read_train_ids(record["sem_seg_file_name"], GTA5_LABEL_IDS)


def test_half_of_the_sample_is_enough(labels_of):
    mixed, fewer = (
        [AS_TRAIN_IDS if k % step == 0 else STREET for k in range(16)] for step in (2, 3)
    )
    with pytest.raises(DatasetError, match="train ids instead of raw ids"):
        check_labels(labels_of(*mixed), required=True)
    check_labels(labels_of(*fewer), required=True)


def test_fewer_odd_labels_are_named_in_a_warning(labels_of, caplog):
    check_labels(labels_of(*5 * [[0]], *11 * [STREET]), required=True)
    check_labels(labels_of(*5 * [AS_TRAIN_IDS], *11 * [STREET]), required=True)
    said = [message for message in caplog.messages if " sampled labels contain " in message]
    assert [message.split(", such")[0] for message in said] == [
        "5 of 16 sampled labels contain no pixel of a class",
        "5 of 16 sampled labels contain possible train ids instead of raw ids",
    ]


def test_labels_of_a_single_class_are_warned_of(labels_of, caplog):
    check_labels(labels_of([23], [23], *6 * [STREET]), required=True)
    assert re.search("2 of 8 sampled labels, such as .*, have a single class", caplog.text)


def test_labels_mostly_without_a_class_are_warned_of(labels_of, caplog):
    check_labels(labels_of(*3 * [[1, 2, 3, 9, 10, 14, 20]]), required=True)  # and one more
    assert any("86 % of the pixels of 3 sampled labels" in message for message in caplog.messages)


@pytest.mark.parametrize(
    ("raw_to_train", "ids"),
    [
        ({k: k for k in [*range(5), 255]}, [0, 255, 255]),
        ({k: k for k in [*range(25), 255]}, [22]),
        ({0: 255, 7: 0, 8: 1}, [0, 0, 0, 7]),
    ],
    ids=["much ignored", "a class beyond Cityscapes'", "much background"],
)
def test_own_encodings_are_not_guessed_about(labels_of, monkeypatch, raw_to_train, ids):
    own = LabelEncoding("own", raw_to_train)
    monkeypatch.setitem(ENCODINGS, "own", own)
    check_labels(labels_of(*4 * [ids], encoding=own), required=True)
    with pytest.raises(DatasetError, match="no pixel of a class"):
        check_labels(
            labels_of([k for k, v in raw_to_train.items() if v == 255], encoding=own), required=True
        )


NAMES = CITYSCAPES_19.names
OTHER_CLASSES = {
    "order": (LabelSpace(("sidewalk", "road", *NAMES[2:])), "train id 0 .*'road', but 'sidewalk'"),
    "fewer": (LabelSpace(NAMES[:5]), "train id 5 .*'pole', but 'no class' in model.classes.names"),
    "more": (LabelSpace((*NAMES, "gate")), "train id 19 .*'no class', but 'gate'"),
    "ignored": (LabelSpace(NAMES, ignore_label=200), "ignore_label is 200, .* set it to 255"),
}


@pytest.mark.parametrize(("classes", "message"), OTHER_CLASSES.values(), ids=OTHER_CLASSES)
@pytest.mark.parametrize("build", LOADERS.values(), ids=LOADERS)
def test_labels_of_other_classes_are_refused(labels_of, build, classes, message):
    records = labels_of(STREET)
    build(records, CITYSCAPES_19)
    with pytest.raises(DatasetError, match=message):
        build(records, classes)


def test_more_train_ids_than_classes_are_refused(labels_of, monkeypatch):
    monkeypatch.setitem(ENCODINGS, "own", LabelEncoding("own", {k: k for k in range(25)}))
    records = labels_of([0, 1], encoding=ENCODINGS["own"])
    with pytest.raises(DatasetError, match=r"train ids 0 to 24, but .* has 19 names"):
        check_labels(records, required=True, classes=CITYSCAPES_19)


def test_raw_ids_where_train_ids_belong_say_so(labels_of):
    (record,) = labels_of(STREET, encoding=TRAIN_IDS)
    check_labels([record], required=True)  # the run's own error is as early
    with pytest.raises(ImageFileError, match="Cityscapes' raw ids instead of train ids"):
        read_train_ids(record["sem_seg_file_name"], TRAIN_IDS)


def test_sources_are_looked_at_apart(labels_of):
    records = labels_of(*40 * [STREET], *10 * [[255]])
    for record in records[40:]:
        record["label_encoding"] = TRAIN_IDS.name
    with pytest.raises(DatasetError, match="10 of 10 sampled labels .* as train ids"):
        check_labels(records, required=True)


def test_files_that_cannot_be_read_are_left_to_the_run(labels_of, tmp_path, caplog):
    records = labels_of(*5 * [STREET])
    for record in records[:4]:
        (tmp_path / record["sem_seg_file_name"]).write_bytes(b"")
    (tmp_path / records[4]["file_name"]).unlink()
    check_labels(records, required=True)
    assert not caplog.messages


def test_few_files_of_a_good_set_are_read(labels_of, monkeypatch):
    from langdg_d2.data import label_sample

    read = []
    original = label_sample.read_raw_ids
    monkeypatch.setattr(
        label_sample, "read_raw_ids", lambda *args: read.append(args) or original(*args)
    )
    records = labels_of(*50 * [STREET])
    check_labels(records, required=True)
    assert len(read) == 8


def test_images_that_exif_data_turn_are_named_once(labels_of, caplog):
    records = labels_of(*10 * [STREET])
    exif = Image.Exif()
    exif[0x0112] = 3
    for record in records[2:5]:
        Image.new("RGB", (12, 8), (8, 99, 7)).save(record["file_name"], exif=exif)
    with caplog.at_level(logging.WARNING):
        check_labels(records, required=True)
    (message,) = caplog.messages
    assert message.startswith("3 of 10 sampled images")
    assert "have an EXIF rotation, which is ignored" in message
    assert any(record["file_name"] in message for record in records[2:5])


def test_labels_and_images_that_are_copies_or_grey_are_named(labels_of, caplog):
    records = labels_of(*9 * [STREET])
    check_labels(records, required=True)
    assert not caplog.messages
    for record in records[1:]:
        shutil.copy(records[0]["sem_seg_file_name"], record["sem_seg_file_name"])
    for record in records:
        Image.new("RGB", (12, 8), (7, 7, 7)).save(record["file_name"])
    check_labels(records, required=True)
    assert "half or more of 8 sampled labels" in caplog.messages[0]
    assert "4 of 4 sampled images look unusual" in caplog.messages[1]
    assert "has no colours" in caplog.messages[1]


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (Image.fromarray(np.uint8([[[9, 15, 3]]])), "reaches 15 of 255"),
        (Image.new("RGB", (12, 8), (90, 9, 3)).quantize(4), "has a palette"),
    ],
)
def test_dark_and_palette_images_are_named(labels_of, caplog, image, said):
    records = labels_of(*9 * [STREET])
    for record in records:
        image.resize((12, 8)).save(record["file_name"])
    check_labels(records, required=True)
    assert said in caplog.text


def test_every_data_set_of_the_tests_passes(datasets, monkeypatch, caplog):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(datasets))
    for name in ("gta5", "synthia", "cityscapes", "acdc", "bdd100k", "mapillary"):
        check_labels(DatasetCatalog.get(f"{name}_sem_seg_train"), required=True)
    # Their ids are drawn from all there are: many have no class, and some classes are not drawn.
    expected = ("have no class (read", "none of", "are copies of others")
    assert all(any(text in message for text in expected) for message in caplog.messages)


def test_dicts_of_other_kinds_are_not_looked_at(caplog):
    check_labels([{"id": 3}, {"file_name": "a.png"}], required=True)
    check_labels([{"sem_seg_file_name": "a.png", "label_encoding": "own"}], required=True)
    assert not caplog.messages


def test_each_of_several_sources_is_looked_at_alone(labels_of):
    records = labels_of(*60 * [STREET], *6 * [AS_TRAIN_IDS])
    named = [x | {"source": "a" if k < 60 else "b"} for k, x in enumerate(records)]
    with pytest.raises(DatasetError, match="train ids instead of raw ids"):
        check_labels(named, required=True)

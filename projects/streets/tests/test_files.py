"""Files on disk: names, PNG modes, ids and palette."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streets.classes import LABEL_ID, label_id_palette, to_train_ids
from streets.domains import DOMAINS, Domain
from streets.files import Naming, write_sample
from streets.label_files import mapillary_classes
from streets.namings import acdc_files, cityscapes_files, gta5_files, mapillary_files
from streets.render import Rendering
from streets.sample import draw_sample

from langdg_d2.structures import CITYSCAPES_19
from langdg_d2.structures.label_encoding import (
    CITYSCAPES_LABEL_IDS,
    GTA5_LABEL_IDS,
    MAPILLARY_A,
    MAPILLARY_B,
    TRAIN_IDS,
)

_SIZE = (48, 96)


@pytest.fixture(scope="module")
def rendering() -> Rendering:
    """A small view with a licence plate and the ego vehicle put into its labels."""
    drawn = draw_sample(seed=0, look="clear", index=0, size=_SIZE)
    drawn.label_ids[20, 30:34] = LABEL_ID["license plate"]
    drawn.label_ids[-2:] = LABEL_ID["ego vehicle"]
    return drawn


def test_gta5_labels_are_a_palette_png_of_label_ids(tmp_path: Path, rendering: Rendering) -> None:
    files = gta5_files(tmp_path, "train", 12)
    write_sample(rendering, files)
    assert (tmp_path / "gta5/images/00012.png").is_file()
    with Image.open(tmp_path / "gta5/labels/00012.png") as label:
        assert label.mode == "P"
        palette = np.reshape(label.getpalette() or [], (-1, 3))[:35]
        assert {raw: tuple(palette[raw].tolist()) for raw in GTA5_LABEL_IDS.colors} == dict(
            GTA5_LABEL_IDS.colors
        )
        stored = np.asarray(label)
        shown = np.asarray(label.convert("RGB"))
    np.testing.assert_array_equal(stored, rendering.label_ids)
    assert stored.max() == 34
    road = stored == LABEL_ID["road"]
    assert (shown[road] == CITYSCAPES_19.colors[0]).all()
    np.testing.assert_array_equal(GTA5_LABEL_IDS.decode(stored), to_train_ids(stored))


@pytest.mark.parametrize(
    ("naming", "image", "label", "train_label"),
    [
        (
            cityscapes_files,
            "cityscapes/leftImg8bit/val/streetshaven/streetshaven_000002_000019_leftImg8bit.png",
            "cityscapes/gtFine/val/streetshaven/streetshaven_000002_000019_gtFine_labelIds.png",
            "cityscapes/gtFine/val/streetshaven/streetshaven_000002_000019_gtFine_labelTrainIds.png",
        ),
        (
            acdc_files("fog"),
            "acdc/rgb_anon/fog/val/GOPR0001/GOPR0001_frame_000003_rgb_anon.png",
            "acdc/gt/fog/val/GOPR0001/GOPR0001_frame_000003_gt_labelIds.png",
            "acdc/gt/fog/val/GOPR0001/GOPR0001_frame_000003_gt_labelTrainIds.png",
        ),
    ],
    ids=["cityscapes", "acdc"],
)
def test_grey_labels_hold_exact_ids(
    naming: Naming, image: str, label: str, train_label: str, tmp_path: Path, rendering: Rendering
) -> None:
    write_sample(rendering, naming(tmp_path, "val", 3))
    with Image.open(tmp_path / image) as picture:
        assert picture.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(picture), rendering.image)
    with Image.open(tmp_path / label) as ids, Image.open(tmp_path / train_label) as train:
        assert ids.mode == train.mode == "L"
        assert ids.size == train.size == picture.size == (_SIZE[1], _SIZE[0])
        stored, trained = np.asarray(ids), np.asarray(train)
    assert set(np.unique(stored)) <= {*range(34), 255}
    assert set(np.unique(trained)) <= {*range(19), 255}
    np.testing.assert_array_equal(CITYSCAPES_LABEL_IDS.decode(stored), trained)
    np.testing.assert_array_equal(TRAIN_IDS.decode(trained), to_train_ids(rendering.label_ids))
    assert (stored[20, 30:34] == 255).all()  # Cityscapes' -1 in eight bits


def test_both_mapillary_maps_read_the_labels_alike(tmp_path: Path, rendering: Rendering) -> None:
    files = mapillary_files(tmp_path, "val", 3)
    write_sample(rendering, files)
    with Image.open(files.labels[0][0]) as label:
        assert label.mode == "P"
        stored, shown = np.asarray(label), np.asarray(label.convert("RGB"))
    train_ids = to_train_ids(rendering.label_ids)
    for encoding in (MAPILLARY_A, MAPILLARY_B):
        np.testing.assert_array_equal(encoding.decode(stored), train_ids)
    names = {MAPILLARY_A.raw_names[raw] for raw in np.unique(stored)}
    assert {"construction--flat--road", "construction--flat--sidewalk", "nature--sky"} <= names
    assert (stored[-1] == 64).all()  # the ego vehicle
    assert (shown[train_ids == 0] == CITYSCAPES_19.colors[0]).all()
    classes = mapillary_classes()
    assert [entry["name"] for entry in classes] == list(MAPILLARY_A.raw_names.values())
    assert classes[13]["color"] == list(CITYSCAPES_19.colors[0])
    assert sum(bool(entry["evaluate"]) for entry in classes) == len(CITYSCAPES_19) + 3


@pytest.mark.parametrize("domain", DOMAINS, ids=lambda domain: domain.name)
def test_no_two_scenes_share_a_file(domain: Domain) -> None:
    splits = ("train", "val") if domain.has_train else ("val",)
    first, last = (1, 2), (999, 1000)
    if domain.name == "gta5":  # numbered through
        splits = ("train",)
    paths = [
        path
        for split in splits
        for number in (*first, *last)
        for path in domain.files(Path(), split, number).all
    ]
    assert len(set(paths)) == len(paths)
    assert {path.parts[0] for path in paths} == {domain.folder}


def test_writing_leaves_no_unfinished_files(tmp_path: Path, rendering: Rendering) -> None:
    files = gta5_files(tmp_path, "train", 1)
    assert not files.complete
    write_sample(rendering, files)
    assert files.complete
    found = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(found) == sorted(files.all)


def test_palette_has_the_class_colours_and_black_for_void() -> None:
    palette = np.array(label_id_palette()).reshape(256, 3)
    for name, color in zip(CITYSCAPES_19.names, CITYSCAPES_19.colors, strict=True):
        assert tuple(palette[LABEL_ID[name]]) == color
    assert (palette[[0, 1, 3, 4, 34, 255]] == 0).all()

"""Files come out exact, and broken ones are named."""

import numpy as np
import pytest
from PIL import Image

from langdg_d2.data import ImageFileError
from langdg_d2.data.image_io import read_rgb, read_train_ids
from langdg_d2.structures.label_maps import GTA5_LABEL_IDS, TRAIN_IDS


def test_rgb_image_is_read_exactly_and_may_be_written_to(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image = read_rgb(str(tmp_path / "a.png"))
    assert (image == pixels).all()
    image[0, 0] = 1  # torch refuses read-only arrays
    assert image.flags.c_contiguous


def test_of_a_palette_label_the_indices_count_and_not_the_colours(tmp_path):
    label = Image.fromarray(np.array([[7, 8, 26]], np.uint8))
    label.putpalette([k % 251 for k in range(768)])
    label.save(tmp_path / "label.png")
    assert Image.open(tmp_path / "label.png").mode == "P"
    assert read_train_ids(str(tmp_path / "label.png"), GTA5_LABEL_IDS).tolist() == [[0, 1, 13]]


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ImageFileError, match=r"nothing\.png' does not exist"):
        read_rgb(str(tmp_path / "nothing.png"))


@pytest.mark.parametrize("kept", [0, 20, 2000])
def test_truncated_file_is_named(tmp_path, kept):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "whole.png")
    whole = (tmp_path / "whole.png").read_bytes()
    assert len(whole) > kept
    (tmp_path / "cut.png").write_bytes(whole[:kept])
    with pytest.raises(ImageFileError, match=r"cut\.png' cannot be read as an image"):
        read_rgb(str(tmp_path / "cut.png"))


@pytest.mark.parametrize(
    "pixels", [np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.uint16)], ids=["rgb", "16-bit"]
)
def test_label_of_another_format_is_refused(tmp_path, pixels):
    Image.fromarray(pixels).save(tmp_path / "label.png")
    with pytest.raises(ImageFileError, match=r"label\.png' has shape .* expected an 8-bit image"):
        read_train_ids(str(tmp_path / "label.png"), TRAIN_IDS)


def test_label_outside_the_map_is_named_with_its_file(tmp_path):
    Image.fromarray(np.array([[0, 77]], np.uint8)).save(tmp_path / "label.png")
    with pytest.raises(ImageFileError, match=r"label\.png': label ids \[77\] are not in the"):
        read_train_ids(str(tmp_path / "label.png"), TRAIN_IDS)

"""Resizing and cutting of test images against Pillow and torchvision, labels always alike."""

import warnings

import numpy as np
import pytest
import torchvision.transforms.functional as TF
from detectron2.data import transforms as T
from PIL import Image, ImageOps

from langdg_d2.data import CenterCrop, FamixCropOrPad, PadToSize, ResizeToHeight, TestMapper

FILL = 7
SIZES = [(40, 60), (60, 40), (41, 59), (37, 37), (12, 90), (90, 9), (48, 47), (53, 49)]


def pair(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    image = rng.integers(1, 256, (*size, 3)).astype(np.uint8)
    return image, rng.integers(8, 19, size).astype(np.uint8)


def apply(augmentations, image: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    inputs = T.AugInput(image.copy(), sem_seg=label.copy())
    T.AugmentationList(augmentations)(inputs)
    return inputs.image, inputs.sem_seg


@pytest.mark.parametrize("size", SIZES)
def test_a_height_is_reached_with_bicubic_images_and_nearest_labels(size):
    image, label = pair(size)
    resized, resized_label = apply([ResizeToHeight(height=48)], image, label)
    width = size[1] * 48 // size[0]
    expected = TF.resize(
        Image.fromarray(image), [48, width], interpolation=TF.InterpolationMode.BICUBIC
    )
    assert resized.shape == (48, width, 3)
    assert (resized == np.asarray(expected)).all()
    rows = ((np.arange(48) + 0.5) * size[0] / 48).astype(int)
    columns = ((np.arange(width) + 0.5) * size[1] / width).astype(int)
    assert (resized_label == label[rows][:, columns]).all()


def test_the_width_is_rounded_as_the_authors_do():
    image, label = pair((7, 17))
    resized, _ = apply([ResizeToHeight(height=49)], image, label)
    assert resized.shape[:2] == (49, 118)  # 17 / 7 * 49 is just below 119 in floating point


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("frame", [(36, 36), (37, 48), (64, 91)])
def test_padding_and_centre_crop_are_torchvisions_centre_crop(size, frame):
    image, label = pair(size)
    augmentations = [PadToSize(size=frame, label_fill=FILL), CenterCrop(size=frame)]
    cut, cut_label = apply(augmentations, image, label)
    assert (cut == np.asarray(TF.center_crop(Image.fromarray(image), list(frame)))).all()
    # Where torchvision pads with 0 there is the fill, and only there.
    expected = np.asarray(TF.center_crop(Image.fromarray(label), list(frame)))
    assert (cut_label == np.where(expected == 0, FILL, expected)).all()


def test_centre_crop_leaves_short_sides_alone():
    image, label = pair((30, 80))
    cut, cut_label = apply([CenterCrop(size=(36, 50))], image, label)
    assert (cut == image[:, 15:65]).all()
    assert (cut_label == label[:, 15:65]).all()


def famix_reference(pixels: np.ndarray, frame: tuple[int, int], fill: int) -> np.ndarray:
    """Border of what is missing at both ends, then the crop that is central without a border."""
    picture = Image.fromarray(pixels)
    missing = [max(0, frame[1 - axis] - picture.size[axis]) for axis in (0, 1)]
    left, top = (round((picture.size[axis] - frame[1 - axis]) / 2) for axis in (0, 1))
    bordered = ImageOps.expand(picture, border=(*missing, *missing), fill=fill)
    canvas = Image.new(picture.mode, frame[::-1], fill if picture.mode == "L" else (fill,) * 3)
    canvas.paste(bordered, (-left, -top))
    return np.asarray(canvas)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("frame", [(48, 48), (36, 37), (64, 91)])
def test_famix_frame_equals_its_description(size, frame):
    image, label = pair(size)
    cut, cut_label = apply([FamixCropOrPad(size=frame, label_fill=FILL)], image, label)
    assert cut.shape == (*frame, 3)
    assert (cut == famix_reference(image, frame, 0)).all()
    assert (cut_label == famix_reference(label, frame, FILL)).all()
    assert ((cut == 0).all(-1) == (cut_label == FILL)).all()


def test_famix_frame_shows_a_portrait_image_off_centre_and_without_its_end():
    image, label = pair((16, 12))  # lacks 4 columns
    cut, cut_label = apply([FamixCropOrPad(size=(16, 16), label_fill=FILL)], image, label)
    assert (cut_label[:, :6] == FILL).all()
    assert (cut_label[:, 6:] == label[:, :10]).all()
    assert (cut[:, 6:] == image[:, :10]).all()


def test_famix_frame_of_a_very_narrow_image_is_padding_only():
    cut, cut_label = apply([FamixCropOrPad(size=(16, 16), label_fill=FILL)], *pair((16, 5)))
    assert (cut == 0).all()
    assert (cut_label == FILL).all()


def test_test_mapper_cuts_image_and_label_and_gives_the_size_after_it(tmp_path):
    label = np.random.default_rng(0).integers(0, 19, (40, 61)).astype(np.uint8)
    Image.fromarray(np.stack([label] * 3, axis=-1)).save(tmp_path / "image.png")
    Image.fromarray(label).save(tmp_path / "label.png")
    record = {
        "file_name": str(tmp_path / "image.png"),
        "sem_seg_file_name": str(tmp_path / "label.png"),
        "label_encoding": "train ids",
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # torch warns of arrays it must not write to
        resized = TestMapper(augmentations=[ResizeToHeight(height=20)])(record)
    assert (resized["height"], resized["width"]) == resized["sem_seg"].shape == (20, 30)
    assert resized["image"].shape == (3, 20, 30)
    cut = TestMapper(augmentations=[CenterCrop(size=(30, 31))])(record)
    assert (cut["height"], cut["width"]) == (30, 31)
    assert (cut["sem_seg"].numpy() == label[5:35, 15:46]).all()
    assert (cut["image"] == cut["sem_seg"]).all()

"""Contract of reading images: formats, EXIF orientation, sizes."""

import numpy as np
import pytest
from detectron2.data import detection_utils
from PIL import Image

PIXELS = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)

# How the stored pixels of each EXIF orientation have to be turned to stand upright
UPRIGHT = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x, k=-1),
    7: lambda x: x[::-1, ::-1].swapaxes(0, 1),
    8: lambda x: np.rot90(x, k=1),
    9: lambda x: x,  # not defined
}


@pytest.fixture
def image_file(tmp_path):
    path = str(tmp_path / "image.png")
    Image.fromarray(PIXELS).save(path)
    return path


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_images_are_turned_upright(orientation, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = str(tmp_path / "turned.png")
    Image.fromarray(PIXELS).save(path, exif=exif)
    image = detection_utils.read_image(path, "RGB")
    np.testing.assert_array_equal(image, UPRIGHT[orientation](PIXELS))


def test_formats_order_the_channels(image_file):
    np.testing.assert_array_equal(detection_utils.read_image(image_file), PIXELS)
    np.testing.assert_array_equal(detection_utils.read_image(image_file, "RGB"), PIXELS)
    bgr = detection_utils.read_image(image_file, "BGR")
    assert bgr.dtype == np.uint8
    np.testing.assert_array_equal(bgr, PIXELS[:, :, [2, 1, 0]])


def test_gray_images_keep_a_channel_only_if_the_format_is_given(image_file, tmp_path):
    gray = detection_utils.read_image(image_file, "L")
    assert gray.shape == (4, 6, 1)
    weighted = PIXELS @ [0.299, 0.587, 0.114]
    assert np.abs(gray[..., 0] - weighted).max() <= 1
    path = str(tmp_path / "gray.png")
    Image.fromarray(gray[..., 0]).save(path)
    np.testing.assert_array_equal(detection_utils.read_image(path), gray[..., 0])


def test_label_files_of_palette_mode_give_ids_only_without_format(tmp_path):
    ids = np.arange(24, dtype=np.uint8).reshape(4, 6)
    image = Image.fromarray(ids)
    image.putpalette([value for k in range(256) for value in (255 - k, 0, 0)])
    path = str(tmp_path / "palette.png")
    image.save(path)
    np.testing.assert_array_equal(detection_utils.read_image(path), ids)
    assert (detection_utils.read_image(path, "L")[..., 0] != ids).all()


def test_sizes_are_filled_in_or_compared():
    record = {}
    detection_utils.check_image_size(record, PIXELS)
    assert record == {"width": 6, "height": 4}
    detection_utils.check_image_size(record, PIXELS)
    with pytest.raises(detection_utils.SizeMismatchError, match=r"a\.png"):
        detection_utils.check_image_size({"file_name": "a.png", "width": 4, "height": 6}, PIXELS)

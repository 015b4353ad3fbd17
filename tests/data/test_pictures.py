"""Images of every kind come out as a viewer shows them, and broken ones are named."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from langdg_d2.data import ImageFileError, read_image, to_rgb
from langdg_d2.utils.errors import LangDGError


def noise(*shape: int, dtype: Any = np.uint8) -> np.ndarray:
    high = int(np.iinfo(dtype).max) + 1
    return np.random.default_rng(0).integers(0, high, shape).astype(dtype)


def saved(path: Path, image: Image.Image, **options: Any) -> str:
    image.save(path, **options)
    return str(path)


def test_rgb_is_read_exactly_and_may_be_written_to(tmp_path: Path) -> None:
    pixels = noise(5, 7, 3)
    read = read_image(saved(tmp_path / "a.png", Image.fromarray(pixels)))
    assert np.array_equal(read, pixels)
    assert read.dtype == np.uint8
    assert read.flags.c_contiguous
    assert read.flags.writeable


def test_grey_becomes_three_equal_channels(tmp_path: Path) -> None:
    pixels = noise(5, 7)
    read = read_image(saved(tmp_path / "a.png", Image.fromarray(pixels)))
    assert np.array_equal(read, np.stack([pixels] * 3, axis=-1))


def test_black_and_white_of_one_bit_is_black_and_white(tmp_path: Path) -> None:
    read = read_image(saved(tmp_path / "a.png", Image.fromarray(noise(4, 4) > 127)))
    assert np.array_equal(read[..., 1], 255 * (noise(4, 4) > 127))


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_grey_is_scaled_from_its_full_range(tmp_path: Path, suffix: str) -> None:
    pixels = np.linspace(0, 65535, 60).astype(np.uint16).reshape(6, 10)
    path = tmp_path / f"a.{suffix}"
    cv2.imwrite(str(path), pixels)
    assert np.array_equal(read_image(path)[..., 0], np.rint(pixels / 257))


def test_16_bit_colours_are_scaled_from_their_full_range(tmp_path: Path) -> None:
    pixels = noise(6, 10, 3, dtype=np.uint16)
    cv2.imwrite(str(tmp_path / "a.png"), pixels[..., ::-1])
    assert np.abs(read_image(tmp_path / "a.png") - pixels / 257).max() <= 1


def test_alpha_lays_the_image_on_white(tmp_path: Path) -> None:
    pixels = noise(6, 8, 4)
    pixels[0, 0] = (10, 20, 30, 0)
    pixels[0, 1] = (10, 20, 30, 255)
    read = read_image(saved(tmp_path / "a.png", Image.fromarray(pixels, "RGBA")))
    share = pixels[..., 3:] / 255
    assert np.array_equal(read, np.rint(share * pixels[..., :3] + (1 - share) * 255))
    assert read[0, :2].tolist() == [[255, 255, 255], [10, 20, 30]]


def test_grey_with_alpha_lies_on_white_too() -> None:
    pixels = noise(6, 8, 2)
    share = pixels[..., 1] / 255
    expected = np.rint(share * pixels[..., 0] + (1 - share) * 255)
    assert np.array_equal(to_rgb(pixels), np.stack([expected] * 3, axis=-1))


def test_palette_is_resolved_and_its_transparent_entry_is_white(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8))
    image.putpalette([9, 8, 7, 60, 50, 40, 1, 2, 3])
    opaque = read_image(saved(tmp_path / "a.png", image))
    assert opaque.tolist() == [[[9, 8, 7], [60, 50, 40], [1, 2, 3]]]
    clear = read_image(saved(tmp_path / "b.png", image, transparency=1))
    assert clear.tolist() == [[[9, 8, 7], [255, 255, 255], [1, 2, 3]]]


@pytest.mark.parametrize(("orientation", "turns"), [(1, 0), (3, 2), (6, 3), (8, 1)])
def test_photographs_stand_upright(tmp_path: Path, orientation: int, turns: int) -> None:
    pixels = noise(6, 10, 3)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / "a.png", Image.fromarray(pixels), exif=exif)
    assert np.array_equal(read_image(path), np.rot90(pixels, turns))


def test_cmyk_and_first_frames_are_read(tmp_path: Path) -> None:
    red = saved(tmp_path / "a.tif", Image.new("CMYK", (3, 2), (0, 255, 255, 0)))
    assert (read_image(red) == (255, 0, 0)).all()
    frames = [Image.new("RGB", (3, 2), color) for color in ("blue", "lime")]
    first = saved(tmp_path / "a.gif", frames[0], save_all=True, append_images=frames[1:])
    assert (read_image(first) == (0, 0, 255)).all()


def test_8k_is_read(tmp_path: Path) -> None:
    pixels = np.zeros((4320, 7680), np.uint8)
    pixels[-1, -1] = 123
    read = read_image(saved(tmp_path / "a.bmp", Image.fromarray(pixels)))
    assert read.shape == (4320, 7680, 3)
    assert read[-1, -1].tolist() == [123, 123, 123]
    assert np.array_equal(read[..., 2], pixels)


@pytest.mark.filterwarnings("ignore:.*decompression bomb")
@pytest.mark.parametrize("limit", [11, 5], ids=["above", "above twice"])
def test_images_above_pillows_limit_are_refused_with_the_remedy(
    tmp_path: Path, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "bomb.png", Image.new("RGB", (4, 3)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 12)
    assert read_image(path).shape == (3, 4, 3)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(ImageFileError, match=r"bomb\.png'.*\b12\b.*MAX_IMAGE_PIXELS higher"):
        read_image(path)


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(ImageFileError, match=r"nothing\.png' does not exist"):
        read_image(tmp_path / "nothing.png")
    with pytest.raises(ImageFileError, match=r"\(Is a directory\), expected an image file"):
        read_image(tmp_path)


@pytest.mark.parametrize("kept", [20, 2000, -100])
def test_truncated_files_are_named(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "cut.png"
    Image.fromarray(noise(64, 64, 3)).save(path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ImageFileError, match=r"cut\.png' "):
        read_image(path)


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"]
)
def test_what_is_no_image_is_named_and_nothing_in_it_is_run(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(ImageFileError, match=r"a\.png' is not an image that can be read; expected"):
        read_image(path)


def test_float_images_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.tif", Image.fromarray(np.ones((3, 4), np.float32)))
    with pytest.raises(ImageFileError, match=r"a\.tif'.* floats, expected 8 or 16 bits"):
        read_image(path)


def test_rgb_arrays_are_taken_as_they_are_and_others_converted() -> None:
    pixels = noise(4, 5, 3)
    assert to_rgb(pixels) is pixels
    assert np.array_equal(to_rgb(pixels[..., :1]), np.repeat(pixels[..., :1], 3, axis=2))
    locked = pixels[:, ::-1]
    locked.flags.writeable = False
    assert to_rgb(locked).flags.writeable
    assert np.array_equal(to_rgb(locked), locked)


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros((4, 5, 3), np.float32), "type float32, expected uint8 or uint16 .* scale floats"),
        (
            np.zeros((4, 5, 5), np.uint8),
            r"\(4, 5, 5\) of type uint8, expected .* with 1 to 4 channels",
        ),
        (np.zeros((2, 4, 5, 3), np.uint8), r"\(2, 4, 5, 3\) is not an image"),
        (np.zeros((0, 5, 3), np.uint8), r"\(0, 5, 3\) is not an image"),
        ([[1, 2]], "list is not an image"),
    ],
)
def test_arrays_that_are_no_images_are_refused(array: Any, says: str) -> None:
    with pytest.raises(LangDGError, match=says):
        to_rgb(array)

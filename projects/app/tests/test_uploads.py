"""Files are read within the limits, and what was left out is said."""

import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from uploads import Limits, Upload

from langdg_d2.data import ImageFileError
from langdg_d2.utils.errors import LangDGError
from langdg_d2.visualization import MediaError

LIMITS = Limits(megabytes=1, longest_side=96, frames=3)


def test_an_image_within_the_limits_is_read_as_it_is(
    image_file: Path, scene: Callable[..., np.ndarray]
) -> None:
    upload = Upload(image_file, LIMITS)
    np.testing.assert_array_equal(upload.first_image(), scene())
    assert (upload.video, upload.count, upload.remarks) == (None, 1, [])


def test_a_larger_image_is_averaged_down_to_the_longest_side(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 192, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    upload = Upload(tmp_path / "wide.png", LIMITS)
    expected = pixels.reshape(32, 2, 96, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(upload.first_image(), expected, atol=0.51)
    assert upload.remarks == ["scaled down from 192 x 64 to 96 x 32 pixels"]


def test_a_clip_ends_after_the_most_frames(clip_file: Path) -> None:
    upload = Upload(clip_file, LIMITS)
    times = [frame.time for frame in upload]
    assert times == pytest.approx([0, 0.08, 0.16])
    assert (upload.count, upload.video.rate) == (3, 12.5)
    assert upload.remarks == ["only the first 3 frames"]
    whole = Upload(clip_file, Limits(1, 2048, 5))
    assert len(list(whole)) == 5
    assert whole.remarks == []


def test_problems_of_a_clip_do_not_name_its_folder(clip_file: Path) -> None:
    upload = Upload(clip_file, Limits(1, 2048, 5))
    upload.video.problems.append(f"'{clip_file}' is truncated")
    assert len(list(upload)) == 5
    assert upload.remarks == ["'drive.mp4' is truncated"]


def test_of_a_clip_the_first_frame_stands_for_the_image(clip_file: Path) -> None:
    upload = Upload(clip_file, LIMITS)
    np.testing.assert_array_equal(upload.first_image(), next(iter(upload)).image)
    assert upload.remarks == ["the clip's first frame"]


def test_what_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    for name in ("text.png", "text.mp4"):
        (tmp_path / name).write_text("this is a text")
    with pytest.raises(ImageFileError, match="text.png"):
        Upload(tmp_path / "text.png", LIMITS).first_image()
    with pytest.raises(MediaError, match="text.mp4"):
        Upload(tmp_path / "text.mp4", LIMITS)


@pytest.mark.parametrize("name", ["megabytes", "longest_side", "frames"])
def test_limits_are_positive(name: str) -> None:
    limits = {"megabytes": 1, "longest_side": 1, "frames": 1, name: 0}
    with pytest.raises(LangDGError, match=f"{name} is 0, expected a whole number of 1 or more"):
        Limits(**limits)


def test_a_short_file_that_claims_to_be_a_huge_image_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    Image.new("RGB", (8, 8)).save(path)
    data = bytearray(path.read_bytes())
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    path.write_bytes(data)
    with pytest.raises(ImageFileError, match="3600000000 pixels.*MAX_IMAGE_PIXELS"):
        Upload(path, LIMITS).first_image()

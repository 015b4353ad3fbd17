"""Files are read within the limits, and what was left out is said."""

import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from langdg_d2.app import Limits, Upload
from langdg_d2.data import ImageFileError
from langdg_d2.utils.errors import LangDGError
from langdg_d2.visualization import MediaError

LIMITS = Limits(longest_side=96, frames=3)


def test_an_image_within_the_limits_is_read_as_it_is(
    image_file: Path, scene: Callable[..., np.ndarray]
) -> None:
    upload = Upload(path=image_file, limits=LIMITS)
    np.testing.assert_array_equal(upload.first(), scene())
    assert (upload.is_clip, upload.count, upload.remarks) == (False, 1, [])


def test_a_larger_image_is_averaged_down_to_the_longest_side(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 192, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    upload = Upload(path=tmp_path / "wide.png", limits=LIMITS)
    expected = pixels.reshape(32, 2, 96, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(upload.first(), expected, atol=0.51)
    assert upload.remarks == ["scaled down from 192 x 64 to 96 x 32 pixels"]


def test_a_clip_ends_after_the_most_frames(clip_file: Path) -> None:
    upload = Upload(path=clip_file, limits=LIMITS)
    times = [frame.time for frame in upload.frames()]
    assert times == pytest.approx([0, 0.08, 0.16])
    assert (upload.count, upload.rate) == (3, 12.5)
    assert upload.remarks == ["only the first 3 frames"]
    whole = Upload(path=clip_file, limits=Limits(frames=5))
    assert len(list(whole.frames())) == 5
    assert whole.remarks == []


def test_of_a_clip_the_first_frame_stands_for_the_image(clip_file: Path) -> None:
    upload = Upload(path=clip_file, limits=LIMITS)
    np.testing.assert_array_equal(upload.first(), next(upload.frames()).image)
    assert upload.remarks == ["the clip's first frame"]


def test_what_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    for name in ("text.png", "text.mp4"):
        (tmp_path / name).write_text("this is a text")
    with pytest.raises(ImageFileError, match="text.png"):
        Upload(path=tmp_path / "text.png", limits=LIMITS).first()
    with pytest.raises(MediaError, match="text.mp4"):
        Upload(path=tmp_path / "text.mp4", limits=LIMITS)


@pytest.mark.parametrize("name", ["megabytes", "longest_side", "frames"])
def test_limits_are_positive(name: str) -> None:
    with pytest.raises(LangDGError, match=f"{name}=0"):
        Limits(**{name: 0})


def test_a_short_file_that_claims_to_be_a_huge_image_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    Image.new("RGB", (8, 8)).save(path)
    data = bytearray(path.read_bytes())
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    path.write_bytes(data)
    with pytest.raises(ImageFileError, match="3600000000 pixels.*MAX_IMAGE_PIXELS"):
        Upload(path=path, limits=LIMITS).first()

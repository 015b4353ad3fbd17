"""Copies read as the files do, and image libraries understand them."""

import errno
import io
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from langdg_d2.data import ImageFileError, copy_uncompressed
from langdg_d2.data.image_io import read_rgb


def rgb(height=37, width=53):
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", [(1, 1), (37, 53), (300, 400)])
def test_every_library_reads_the_pixels(size, tmp_path):
    image, source, file = rgb(*size), tmp_path / "source.png", tmp_path / "image.png"
    Image.fromarray(image).save(source)
    assert copy_uncompressed(source, file)
    with Image.open(file) as opened:
        opened.verify()
    assert (np.array(Image.open(file)) == image).all()
    assert (cv2.imread(str(file))[..., ::-1] == image).all()
    assert (read_rgb(file) == image).all()


def test_rows_are_neither_compressed_nor_filtered(tmp_path):
    image, file = rgb(), tmp_path / "image.png"
    Image.fromarray(image).save(tmp_path / "source.png")
    copy_uncompressed(tmp_path / "source.png", file)
    rows = np.concatenate([np.zeros((37, 1), np.uint8), image.reshape(37, -1)], axis=1)
    assert rows.tobytes() in file.read_bytes()


def test_rgb_images_are_stored_otherwise_and_read_the_same(tmp_path):
    source, target = tmp_path / "a.png", tmp_path / "b.png"
    Image.fromarray(np.full((64, 64, 3), 7, np.uint8)).save(source)
    assert copy_uncompressed(source, target)
    assert target.stat().st_size > 64 * 64 * 3 > source.stat().st_size
    assert (np.array(Image.open(target)) == 7).all()


@pytest.mark.parametrize("kind", ["palette", "grey", "alpha", "16 bits", "text", "empty"])
def test_everything_else_is_copied_byte_for_byte(kind, tmp_path):
    source, target = tmp_path / "a.png", tmp_path / "b.png"
    if kind == "palette":
        Image.fromarray(rgb()).convert("P").save(source)
    elif kind == "grey":
        Image.fromarray(rgb()).convert("L").save(source)
    elif kind == "alpha":
        Image.fromarray(rgb()).convert("RGBA").save(source)
    elif kind == "16 bits":
        cv2.imwrite(str(source), rgb().astype(np.uint16) * 257)
    else:
        source.write_bytes(b"00001" if kind == "text" else b"")
    assert not copy_uncompressed(source, target)
    assert target.read_bytes() == source.read_bytes()


def test_a_truncated_image_is_named_and_leaves_nothing(tmp_path):
    source, target = tmp_path / "a.png", tmp_path / "b.png"
    Image.fromarray(rgb()).save(source)
    source.write_bytes(source.read_bytes()[:500])
    with pytest.raises(ImageFileError, match=r"a\.png"):
        copy_uncompressed(source, target)
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


class BadDisk(io.BytesIO):
    """A file that can be opened, and not read to its end."""

    def read(self, size=-1):
        if data := super().read(3):
            return data
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_source_that_cannot_be_read_on_is_named_and_not_the_target(tmp_path, monkeypatch):
    source, target = tmp_path / "a.txt", tmp_path / "b.txt"
    source.write_bytes(b"00001")
    opened = Path.open

    def on_bad_disk(path, mode="r"):
        return BadDisk(b"00001") if path == source else opened(path, mode)

    monkeypatch.setattr(Path, "open", on_bad_disk)
    with pytest.raises(OSError, match=r"a\.txt'$") as caught:
        copy_uncompressed(source, target)
    assert "room" not in str(caught.value)
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]

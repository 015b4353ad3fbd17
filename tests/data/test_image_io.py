"""Files come out exact, and broken ones are named."""

import re
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from langdg_d2.data import ImageFileError
from langdg_d2.data.image_io import read_image, read_rgb, read_size, to_rgb
from langdg_d2.data.label_io import read_train_ids
from langdg_d2.structures.label_encoding import SYNTHIA_LABEL_IDS, TRAIN_IDS
from langdg_d2.utils.errors import LangDGError


def test_rgb_image_is_read_exactly_and_may_be_written_to(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image = read_rgb(str(tmp_path / "a.png"))
    assert (image == pixels).all()
    image[0, 0] = 1  # torch refuses read-only arrays
    assert image.flags.c_contiguous


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ImageFileError, match=r"nothing\.png' does not exist"):
        read_rgb(str(tmp_path / "nothing.png"))


@pytest.mark.parametrize("kept", [0, 20, 2000, -12])
def test_truncated_file_is_named(tmp_path, kept):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "whole.png")
    whole = (tmp_path / "whole.png").read_bytes()
    assert len(whole) > kept
    (tmp_path / "cut.png").write_bytes(whole[:kept])
    with pytest.raises(ImageFileError, match=r"cut\.png' (cannot be read as|is not) an image"):
        read_rgb(str(tmp_path / "cut.png"))


@pytest.mark.parametrize(
    "pixels", [np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.uint16)], ids=["rgb", "16-bit"]
)
def test_label_of_another_format_is_refused(tmp_path, pixels):
    Image.fromarray(pixels).save(tmp_path / "label.png")
    with pytest.raises(ImageFileError, match=r"label\.png' is .*-bit .* PNG, expected 8-bit grey"):
        read_train_ids(str(tmp_path / "label.png"), TRAIN_IDS)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def write_png(path, depth, colour, rows):
    """An image of the given bits a pixel and PNG colour type (0 grey, 3 palette), by hand."""
    packed = [
        np.packbits(np.unpackbits(np.uint8(row)[:, None], axis=1)[:, -depth:]) for row in rows
    ]
    header = struct.pack(">IIBBBBB", len(rows[0]), len(rows), depth, colour, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row.tobytes() for row in packed))
    grey = b"".join(bytes([k] * 3) for k in range(1 << depth))
    palette = chunk(b"PLTE", grey) if colour == 3 else b""
    body = chunk(b"IHDR", header) + palette + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_palette_indices_of_few_bits_are_ids_and_grey_values_are_refused(tmp_path, depth):
    ids = [[0, 1, 1, 0], [1, 0, (1 << depth) - 1, 1]]
    write_png(tmp_path / "palette.png", depth, 3, ids)
    assert read_train_ids(str(tmp_path / "palette.png"), TRAIN_IDS).tolist() == ids
    write_png(tmp_path / "grey.png", depth, 0, ids)
    with pytest.raises(ImageFileError, match=r"grey\.png' is .* PNG, expected 8-bit grey or"):
        read_train_ids(str(tmp_path / "grey.png"), TRAIN_IDS)
    write_png(tmp_path / "grey.png", 8, 0, ids)
    assert read_train_ids(str(tmp_path / "grey.png"), TRAIN_IDS).tolist() == ids


def test_label_compressed_with_losses_is_refused(tmp_path):
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "label.png", format="JPEG")
    with pytest.raises(ImageFileError, match=r"label\.png' is 8-bit grey JPEG, expected .* PNG"):
        read_train_ids(str(tmp_path / "label.png"), TRAIN_IDS)


def test_label_outside_the_map_is_named_with_its_file(tmp_path):
    Image.fromarray(np.array([[0, 77]], np.uint8)).save(tmp_path / "label.png")
    with pytest.raises(ImageFileError, match=r"label\.png': label ids \[77\] are not in the"):
        read_train_ids(str(tmp_path / "label.png"), TRAIN_IDS)


@pytest.mark.parametrize("orientation", [3, 6, 8], ids=["180", "90", "270"])
def test_pixels_come_as_stored_whatever_their_exif_orientation_since_labels_do(
    tmp_path, orientation
):
    pixels = np.zeros((6, 10, 3), np.uint8)
    pixels[:3] = 250
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    assert Image.open(tmp_path / "a.png").getexif()[0x0112] == orientation
    assert (read_rgb(str(tmp_path / "a.png")) == pixels).all()


@pytest.fixture
def wide(tmp_path):
    """Function that writes a 16-bit RGB PNG with the given red channel and others of noise."""

    def write(red) -> str:
        red = np.asarray(red)
        noise = np.random.default_rng(0).integers(0, 1 << 16, (2, *red.shape))
        bgr = np.stack([*noise, red], axis=-1).astype(np.uint16)
        cv2.imwrite(str(tmp_path / "wide.png"), bgr)
        return str(tmp_path / "wide.png")

    return write


def test_ids_come_from_the_red_channel_of_a_16_bit_image(wide):
    red = np.random.default_rng(1).integers(0, 23, (40, 60))
    train_ids = read_train_ids(wide(red), SYNTHIA_LABEL_IDS)
    assert train_ids.dtype == np.uint8
    assert train_ids.flags.c_contiguous
    slow = [[SYNTHIA_LABEL_IDS.raw_to_train[int(raw)] for raw in row] for row in red]
    assert train_ids.tolist() == slow


@pytest.mark.parametrize("raw", [23, 255, 256, 256 + 3, 768, 65535])
def test_large_ids_are_named_and_never_wrap_around(wide, raw):
    with pytest.raises(ImageFileError, match=rf"wide\.png': label ids \[{raw}\] are not in the"):
        read_train_ids(wide([[1, raw, 3]]), SYNTHIA_LABEL_IDS)


@pytest.mark.parametrize("kept", [0, 20, 3000, -12, -1])
def test_truncated_16_bit_file_is_named(wide, kept):
    path = wide(np.ones((40, 60)))
    Path(path).write_bytes(Path(path).read_bytes()[:kept])
    with pytest.raises(ImageFileError, match=r"wide\.png' (cannot be read as|is not) an image"):
        read_train_ids(path, SYNTHIA_LABEL_IDS)


def test_damage_within_a_16_bit_file_is_named(wide):
    path = wide(np.ones((40, 60)))
    data = bytearray(Path(path).read_bytes())
    data[len(data) // 2] ^= 0xFF
    Path(path).write_bytes(data)
    with pytest.raises(ImageFileError, match=r"wide\.png' (cannot be read as|is not) an image"):
        read_train_ids(path, SYNTHIA_LABEL_IDS)


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.uint16), np.zeros((4, 4), np.uint8)],
    ids=["colours", "16-bit grey", "converted"],
)
def test_only_16_bit_colour_labels_are_accepted_there(tmp_path, pixels):
    Image.fromarray(pixels).save(tmp_path / "label.png")
    with pytest.raises(ImageFileError, match=r"label\.png' is .* PNG, expected 16-bit RGB PNG"):
        read_train_ids(str(tmp_path / "label.png"), SYNTHIA_LABEL_IDS)


def test_missing_16_bit_label_is_named(tmp_path):
    with pytest.raises(ImageFileError, match=r"nothing\.png' does not exist"):
        read_train_ids(str(tmp_path / "nothing.png"), SYNTHIA_LABEL_IDS)


def claim(path, width, height):
    """Let a PNG or JPEG file say that its image is of another size."""
    data = bytearray(path.read_bytes())
    if data.startswith(b"\x89PNG"):
        data[16:24] = struct.pack(">II", width, height)
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    else:
        start = data.index(b"\xff\xc0") + 5  # of the frame: marker, length, bits
        data[start : start + 4] = struct.pack(">HH", height, width)
    path.write_bytes(data)


@pytest.mark.parametrize("side", [60_000, 14_000])
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_short_file_that_claims_to_be_a_huge_image_is_refused(tmp_path, suffix, side):
    path = tmp_path / f"bomb{suffix}"
    Image.new("RGB", (8, 8)).save(path)
    claim(path, side, side)
    for read in (read_rgb, read_size):
        with pytest.raises(ImageFileError, match=rf"bomb\{suffix}': .*MAX_IMAGE_PIXELS higher"):
            read(str(path))


@pytest.mark.parametrize("side", [60_000, 14_000])  # OpenCV's own limit lies between
def test_a_short_file_that_claims_to_be_a_huge_label_is_refused(tmp_path, wide, side):
    Image.new("L", (8, 8)).save(tmp_path / "grey.png")
    for path, encoding in (
        (str(tmp_path / "grey.png"), TRAIN_IDS),
        (wide(np.ones((8, 8))), SYNTHIA_LABEL_IDS),
    ):
        claim(Path(path), side, side)
        with pytest.raises(ImageFileError, match=r"\.png': .*MAX_IMAGE_PIXELS higher"):
            read_train_ids(path, encoding)


def test_a_program_in_an_image_file_is_not_started(tmp_path, monkeypatch):
    """Pillow gives PostScript to Ghostscript, whatever the file's name is."""
    started = []
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *args: started.append(args))
    path = tmp_path / "image.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    with pytest.raises(ImageFileError, match=r"image\.png' is not an image"):
        read_rgb(str(path))
    assert not started


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"version https://git-lfs.github.com/spec/v1", "pointer of Git LFS; `git lfs pull`"),
        (b"<!DOCTYPE html><title>Log in</title>", "it is a web page"),
        (b"", "it is empty; download or copy it again"),
    ],
)
@pytest.mark.parametrize("read", [read_rgb, lambda path: read_train_ids(str(path), TRAIN_IDS)])
def test_files_of_failed_downloads_are_named(tmp_path, read, content, says):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(ImageFileError, match=rf"a\.png' is not an image .*{says}"):
        read(path)


def jpeg(path, pixels, **options):
    Image.fromarray(pixels).save(path, format="JPEG", **{"quality": 90} | options)
    return str(path)


def photograph(height=61, width=83):
    rows, columns = np.mgrid[:height, :width]
    waves = [128 + 100 * np.sin(columns / 9 + k) * np.cos(rows / (5 + k)) for k in range(3)]
    noise = np.random.default_rng(0).normal(0, 9, (height, width, 3))
    return np.clip(np.stack(waves, axis=-1) + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"quality": 30}, {"quality": 99}])
def test_jpegs_have_pillows_pixels(tmp_path, subsampling, options):
    path = jpeg(tmp_path / "a.jpg", photograph(), subsampling=subsampling, **options)
    image = read_rgb(path)
    assert (image == np.array(Image.open(path).convert("RGB"))).all()
    assert image.flags.writeable


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_grey_and_cmyk_jpegs_have_pillows_pixels(tmp_path, mode):
    Image.fromarray(photograph()).convert(mode).save(tmp_path / "a.jpg", quality=90)
    expected = np.array(Image.open(tmp_path / "a.jpg").convert("RGB"))
    assert (read_rgb(tmp_path / "a.jpg") == expected).all()


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("damage", ["second half", "end", "last byte", "cut"])
def test_damaged_jpegs_are_named(tmp_path, mode, damage):
    path = tmp_path / "a.jpg"
    Image.fromarray(photograph(200, 300)).convert(mode).save(path, quality=90)
    data = bytearray(path.read_bytes())
    half = len(data) // 2
    if damage == "second half":
        data[half:-2] = bytes(len(data) - 2 - half)
    else:
        del data[{"end": -2, "last byte": -1, "cut": half}[damage] :]
    path.write_bytes(data)
    with pytest.raises(ImageFileError, match=r"a\.jpg' cannot be read as an image.*copy it again"):
        read_rgb(str(path))


def test_bytes_after_the_end_of_a_jpeg_do_no_harm(tmp_path):
    path = jpeg(tmp_path / "a.jpg", photograph())
    expected = read_rgb(path)
    with Path(path).open("ab") as file:
        file.write(b"\0" * 50)
    assert (read_rgb(path) == expected).all()


@pytest.mark.parametrize("read", [read_rgb, read_image])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_grey_is_scaled_for_all_readers(tmp_path, read, suffix):
    pixels = np.arange(256, dtype=np.uint16).reshape(16, 16) * 257
    cv2.imwrite(str(tmp_path / f"a.{suffix}"), pixels)
    assert (read(tmp_path / f"a.{suffix}")[..., 0] == pixels // 257).all()


@pytest.mark.parametrize("channels", [3, 4])
def test_16_bit_colours_are_scaled_exactly(tmp_path, channels):
    pixels = np.random.default_rng(0).integers(0, 1 << 16, (9, 8, channels)).astype(np.uint16)
    order = [2, 1, 0, 3][:channels]
    cv2.imwrite(str(tmp_path / "a.png"), pixels[..., order])
    assert (read_rgb(tmp_path / "a.png") == np.rint(pixels[..., :3] / 257)).all()


@pytest.mark.parametrize("read", [read_rgb, read_image])
@pytest.mark.parametrize(("kind", "said"), [(np.float32, "floats"), (np.int32, "integers of 32")])
def test_floats_and_32_bits_are_refused(tmp_path, read, kind, said):
    Image.fromarray(np.ones((3, 4), kind)).save(tmp_path / "a.tif")
    with pytest.raises(ImageFileError, match=rf"a\.tif'.* {said}.*, expected 8 or 16 bits"):
        read(tmp_path / "a.tif")


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_shows_in_viewers_alone(tmp_path, mode):
    image = Image.fromarray(np.full((2, 3, 4), (90, 90, 90, 0), np.uint8)).convert(mode)
    image.save(
        tmp_path / "a.png", **({"transparency": image.getpixel((0, 0))} if mode == "P" else {})
    )
    with Image.open(tmp_path / "a.png") as stored:
        assert (read_rgb(tmp_path / "a.png") == np.array(stored.convert("RGB"))).all()
    assert (read_rgb(tmp_path / "a.png") == 90).all()
    assert (read_image(tmp_path / "a.png") == 255).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_viewers_and_readers_of_pictures_turn_alike(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = jpeg(tmp_path / "a.jpg", photograph(), exif=exif)
    with Image.open(path) as image:
        turned = np.array(ImageOps.exif_transpose(image))
    assert (read_image(path) == turned).all()


def test_sizes_come_from_headers(tmp_path):
    for suffix in ("png", "jpg", "webp"):
        path = tmp_path / f"a.{suffix}"
        Image.new("RGB", (7, 5)).save(path)
        assert read_size(path) == (5, 7)


@pytest.mark.parametrize("read", [read_rgb, lambda path: read_train_ids(path, TRAIN_IDS)])
def test_flipped_bits_of_png_pixels_are_named(tmp_path, read):
    path = tmp_path / "a.png"
    pixels = np.random.default_rng(0).integers(0, 19, (64, 64), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    read(str(path))
    whole = path.read_bytes()
    for place in range(whole.index(b"IDAT") + 4, len(whole) - 16, 97):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(ImageFileError, match=r"a\.png"):
            read(str(path))


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".ppm"])
@pytest.mark.parametrize("largest", [255, 4095])
def test_16_bit_values_of_few_levels_are_refused(tmp_path, largest, suffix):
    path = str(tmp_path / f"a{suffix}")
    pixels = np.full((4, 5, 3), largest, np.uint16)
    cv2.imwrite(path, pixels)
    for read in (read_rgb, read_image):
        with pytest.raises(ImageFileError, match=f"16-bit values reach only {largest}"):
            read(path)
    with pytest.raises(LangDGError, match=f"16-bit values reach only {largest}"):
        to_rgb(pixels)
    assert not to_rgb(np.zeros((4, 5), np.uint16)).any()


@pytest.mark.parametrize("suffix", [".webp", ".avif", ".jp2"])
def test_compressed_data_that_end_in_zeros_are_refused(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    read_rgb(path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + bytes(len(data) - len(data) // 2))
    with pytest.raises(ImageFileError, match=suffix):
        read_rgb(path)


ADAM7 = (
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8)),
    *((2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
)


def write_rows(path, pixels, *, lacking, interlaced, darkest=0):
    """A PNG of (H, W) indices of greys or (H, W, 3) RGB, without the last rows of its data."""
    passes = ADAM7 if interlaced else ((0, 0, 1, 1),)
    parts = [pixels[top::down, left::right] for left, top, right, down in passes]
    rows = [b"\0" + row.tobytes() for part in parts if part.size for row in part]
    kind = 3 if pixels.ndim == 2 else 2
    header = struct.pack(">IIBBBBB", *pixels.shape[1::-1], 8, kind, 0, 0, interlaced)
    greys = np.repeat(np.arange(darkest, darkest + 30, dtype=np.uint8), 3)
    palette = chunk(b"PLTE", greys.tobytes()) if kind == 3 else b""
    data = chunk(b"IDAT", zlib.compress(b"".join(rows[: len(rows) - lacking])))
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + palette
    path.write_bytes(start + data + chunk(b"IEND", b""))
    return str(path)


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("size", [(20, 30), (9, 13), (40, 2), (3, 1)])
@pytest.mark.parametrize("kind", ["image", "palette", "label"])
def test_pngs_that_lack_rows_are_named_and_whole_ones_that_end_in_zeros_are_not(
    tmp_path, kind, size, interlaced
):
    pixels = np.random.default_rng(0).integers(1, 19, (*size, 3), dtype=np.uint8)
    pixels[-1] = 0 if not interlaced else pixels[-1]  # those need not lack the last row
    stored = pixels if kind == "image" else np.ascontiguousarray(pixels[..., 0])
    darkest = 200 if kind == "palette" else 0
    expected = stored[..., None] + np.uint8(darkest) if kind == "palette" else stored
    path = tmp_path / "a.png"

    def read():
        return read_train_ids(str(path), TRAIN_IDS) if kind == "label" else read_rgb(path)

    write_rows(path, stored, lacking=0, interlaced=interlaced, darkest=darkest)
    assert (read() == expected).all()
    for lacking in (1, 2):
        write_rows(path, stored, lacking=lacking, interlaced=interlaced, darkest=darkest)
        with pytest.raises(ImageFileError, match=r"a\.png' cannot be .* decoded"):
            read()


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_16_bit_images_that_may_have_fewer_bits_are_warned_of_once_a_folder(
    tmp_path, caplog, suffix
):
    for k, largest in enumerate((1 << 15, (1 << 15) - 1, (1 << 13) - 1)):
        cv2.imwrite(str(tmp_path / f"{k}{suffix}"), np.full((4, 5, 3), largest, np.uint16))
        assert read_rgb(tmp_path / f"{k}{suffix}").max() == round(largest / 257)
    (message,) = caplog.messages
    assert f"1{suffix}' reach 32767 alone" in message


def test_single_bright_pixels_do_not_hide_fewer_bits(tmp_path, caplog):
    pixels = np.full((40, 50, 3), (1 << 12) - 1, np.uint16)
    pixels[3, 4, 1] = (1 << 16) - 1
    cv2.imwrite(str(tmp_path / "a.png"), pixels)
    read_rgb(tmp_path / "a.png")
    assert "a.png' reach 4095 alone" in caplog.text


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("depth", [16, 12])
def test_deep_jpeg2000_is_scaled_up_to_its_brightest(tmp_path, depth, channels):
    """Pillow lets what is about to become 256 wrap around to 0."""
    largest = (1 << depth) - 1
    values = np.linspace(0, largest, 64 * 64).astype(np.uint16).reshape(64, 64, 1)
    pixels = np.concatenate([values, values[::-1], values[:, ::-1]][:channels], axis=-1)
    path = tmp_path / "a.jp2"
    # Files hold the difference to the middle value.
    stored = pixels[..., ::-1] + np.uint16((1 << 15) - (1 << depth - 1))
    cv2.imwrite(str(path), stored, [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000])
    data = bytearray(path.read_bytes())
    header, size = data.index(b"ihdr") + 14, data.index(b"\xff\x4f\xff\x51") + 42
    places = [header, *range(size, size + 3 * channels, 3)]
    assert [data[place] for place in places] == [15] * len(places)
    for place in places:
        data[place] = depth - 1
    path.write_bytes(data)
    for read in (read_rgb, read_image):
        assert np.abs(read(path) - pixels * (255 / largest)).max() <= 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("read", [read_rgb, read_image])
def test_grey_tiffs_whose_zero_is_white_come_out_as_those_whose_zero_is_black(
    tmp_path, read, dtype
):
    pixels = np.linspace(0, np.iinfo(dtype).max, 256).astype(dtype).reshape(16, 16)
    Image.fromarray(pixels).save(tmp_path / "black.tif")
    data = bytearray((tmp_path / "black.tif").read_bytes())
    entry = data.index(struct.pack("<HHI", 262, 3, 1))  # a short: PhotometricInterpretation
    assert data[entry + 8] == 1
    data[entry + 8] = 0
    (tmp_path / "white.tif").write_bytes(data)
    assert (read(tmp_path / "white.tif") == 255 - read(tmp_path / "black.tif")).all()


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_progressive_jpegs_that_lack_scans_are_named(tmp_path, mode):
    path = tmp_path / "a.jpg"
    Image.fromarray(photograph()).convert(mode).save(path, quality=90, progressive=True)
    whole = path.read_bytes()
    read_rgb(path)
    ends = [found.start() for found in re.finditer(b"\xff[\xc4\xda]", whole)]
    first = whole.index(b"\xff\xda")
    cut_off = [end for end in ends if end > first]
    assert len(cut_off) > 5
    for end in cut_off:  # before the tables of a scan, or the scan itself
        path.write_bytes(whole[:end] + b"\xff\xd9")
        with pytest.raises(ImageFileError, match=r"a\.jpg' cannot be .* ends before its last"):
            read_rgb(path)
        assert read_image(path).shape == (61, 83, 3)


@pytest.mark.parametrize("compression", ["tiff_deflate", "tiff_adobe_deflate"])
def test_damaged_parts_of_deflated_tiffs_are_named(tmp_path, compression):
    pixels = np.random.default_rng(0).integers(0, 256, (384, 640, 3), dtype=np.uint8)
    path = tmp_path / "a.tif"
    Image.fromarray(pixels).save(path, compression=compression)
    np.testing.assert_array_equal(read_rgb(path), pixels)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 4096] = bytes(4096)
    path.write_bytes(data)
    with pytest.raises(ImageFileError, match=r"a\.tif' cannot be read as an image"):
        read_rgb(path)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("suffix", ["tif", "tiff"])
def test_tiffs_that_decoders_turn_are_refused_in_data_sets(tmp_path, dtype, suffix):
    pixels = np.arange(24).reshape(4, 6).astype(dtype) * (np.iinfo(dtype).max // 24)
    upright, path = tmp_path / f"upright.{suffix}", tmp_path / f"turned.{suffix}"
    Image.fromarray(pixels).save(upright)
    Image.fromarray(pixels).save(path, tiffinfo={274: 3})
    with pytest.raises(ImageFileError, match="orientation tag rotates it"):
        read_rgb(path)
    np.testing.assert_array_equal(read_image(path), read_rgb(upright)[::-1, ::-1])


def test_jpeg_data_in_tiffs_is_refused_in_data_sets(tmp_path):
    Image.new("RGB", (32, 32), (9, 99, 199)).save(tmp_path / "a.tif", compression="jpeg")
    assert read_image(tmp_path / "a.tif").shape == (32, 32, 3)
    with pytest.raises(ImageFileError, match="store it as JPEG or PNG"):
        read_rgb(tmp_path / "a.tif")


def test_images_of_zeros_and_ones_are_warned_of_once_a_folder(tmp_path, caplog):
    for name, value in (("a", 1), ("b", 1), ("c", 2)):
        Image.new("RGB", (4, 4), (value, 0, 0)).save(tmp_path / f"{name}.png")
        read_rgb(tmp_path / f"{name}.png")
    (message,) = caplog.messages
    assert "a.png' reach 1 alone" in message

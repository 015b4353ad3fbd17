"""Text files that list the images of a split."""

import codecs
import re
from pathlib import Path, PureWindowsPath

from ..image_io import IMAGE_SUFFIXES
from .folders import DatasetError

# Byte order marks, the longer ones first: that of UTF-32 begins with that of UTF-16.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# Text before the first image suffix that is followed by a blank, separator or quotation mark.
_IMAGE = re.compile(
    rf"(.+?)({'|'.join(map(re.escape, sorted(IMAGE_SUFFIXES)))})(?=[\s,;\"']|$)", re.IGNORECASE
)


def read_text(file: Path) -> str:
    """Read text in UTF-8, in UTF-16 or UTF-32 with byte order marks, or else in Latin-1.

    Raises:
        ValueError: if it is not text in the encoding of its mark.
    """
    data = file.read_bytes()
    encoding = next((name for mark, name in _MARKS.items() if data.startswith(mark)), None)
    if encoding is not None:
        return data.decode(encoding)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def read_split_list(list_file: Path, *, dataset: str) -> list[str]:
    """Read the stems of the images in a list, in order.

    Args:
        list_file: file with one image per line, with or without suffix and folder, which may have
            blanks and Windows' separators. Text after the suffix, such as the name of the label, is
            ignored; without a suffix, the first word is the name.
        dataset: name for messages.
    """
    try:
        text = read_text(list_file)
    except FileNotFoundError as error:
        raise DatasetError(
            f"{dataset}: '{list_file}' does not exist. Put a text file there that names one image "
            "a line, or use the split 'all'"
        ) from error
    except ValueError as error:
        raise DatasetError(
            f"{dataset}: '{list_file}' is not text of the encoding that its first bytes name "
            f"({error}). Save it as UTF-8"
        ) from error
    lines: dict[str, int] = {}  # line of each stem
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), 1):
        if not line.strip():
            continue
        stem = _stem(line.strip())
        if not stem or "\0" in stem:
            raise DatasetError(
                f"{dataset}: '{list_file}', line {number}: {line[:80]!r} names no image, expected "
                "a file name in UTF-8"
            )
        if (first := lines.setdefault(stem, number)) != number:
            raise DatasetError(
                f"{dataset}: '{list_file}' names '{stem}' in the lines {first} and {number}, "
                "expected every image once: delete one of them"
            )
    if not lines:
        raise DatasetError(
            f"{dataset}: '{list_file}' is empty, expected the name of an image on every line"
        )
    return list(lines)


def _stem(line: str) -> str:
    line = line.lstrip("\"'")
    image = _IMAGE.match(line)
    name = image[1] if image else (line.split() or [""])[0].strip("\"',;")
    # `PureWindowsPath` splits at both kinds of separators; the suffix is already removed.
    return "" if name.endswith(("/", "\\")) else PureWindowsPath(name).name

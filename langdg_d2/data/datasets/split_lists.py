"""Text files that list the images of a split."""

import re
from pathlib import Path, PureWindowsPath

from ..image_io import IMAGE_SUFFIXES
from .folders import DatasetError

# Text before the first image suffix that is followed by a blank, separator or quotation mark.
_IMAGE = re.compile(
    rf"(.+?)({'|'.join(map(re.escape, sorted(IMAGE_SUFFIXES)))})(?=[\s,;\"']|$)", re.IGNORECASE
)


def read_split_list(list_file: Path, *, dataset: str) -> list[str]:
    """Read the stems of the images in a list, in order.

    Args:
        list_file: UTF-8 file with one image per line, with or without suffix and folder, which may
            have blanks and Windows' separators. Text after the suffix, such as the name of the
            label, is ignored; without a suffix, the first word is the name.
        dataset: name for messages.
    """
    try:
        text = list_file.read_text(encoding="utf-8-sig")  # some editors write a byte order mark
    except FileNotFoundError as error:
        raise DatasetError(
            f"{dataset}: '{list_file}' does not exist. Put a text file there that names one image "
            "a line, or use the split 'all'"
        ) from error
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"{dataset}: '{list_file}' is not UTF-8 text ({error}): save it as UTF-8"
        ) from error
    lines: dict[str, int] = {}  # line of each stem
    for number, line in enumerate(text.split("\n"), 1):
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

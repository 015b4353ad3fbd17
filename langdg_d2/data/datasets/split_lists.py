"""Text files that list the images of a split."""

from pathlib import Path

from .pairing import DatasetError


def read_split_list(list_file: Path, *, dataset: str) -> list[str]:
    """Stems of the images that a list names, in its order.

    Args:
        list_file: one image a line, with or without suffix and folder; what follows after a space,
            such as the label's name, does not count.
        dataset: name for messages.

    Raises:
        DatasetError: if the file is missing or names no image.
    """
    if not list_file.is_file():
        raise DatasetError(
            f"{dataset}: '{list_file}' does not exist. Put a text file there that names one image "
            "a line, or use the split 'all'",
            path=list_file,
        )
    stems = [
        Path(line.split()[0]).stem for line in list_file.read_text().splitlines() if line.strip()
    ]
    if not stems:
        raise DatasetError(
            f"{dataset}: '{list_file}' is empty, expected the name of an image on every line",
            path=list_file,
        )
    return stems

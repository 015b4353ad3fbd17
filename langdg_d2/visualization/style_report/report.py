"""The page and the pictures that show what was mined."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ...styles import StyleBank, StyleBankError
from ...utils.file_io import write_atomically
from ..html import page
from ..palettes import Palette
from .bank_parts import COSINES, cosines_part, counts_part, origin_part
from .class_colors import class_colors
from .patch_part import SHEET, neighbors_part
from .plane_parts import distances_part, projection_file, projection_part
from .projection import METHODS
from .search import StyleNeighbors

PAGE = "styles.html"
# Pictures that not every report has.
_OPTIONAL = (COSINES, SHEET, *map(projection_file, METHODS))


def write_style_report(
    bank: StyleBank,
    folder: Path,
    *,
    name: str,
    palette: Palette,
    projection: str,
    neighbors: Sequence[StyleNeighbors] = (),
    own_class: bool = True,
) -> Path:
    """Write PNG files and a self-contained HTML page about a bank.

    Args:
        bank: on the CPU.
        folder: made if need be; files of an earlier report are replaced or removed.
        name: of the bank, for the title.
        palette: of the classes.
        projection: method of `project`.
        neighbors: of the styles whose nearest source patches are shown; there may be none.
        own_class: whether these were looked for among patches of the style's class alone.

    Returns:
        The page's file.

    Raises:
        StyleBankError: if the bank holds no style.
        ImportError: if what the projection needs is not installed.
        OSError: if a file cannot be written.
    """
    if not len(bank):
        raise StyleBankError(
            f"the style bank '{name}' holds no style, there is nothing to show; mine one with "
            "tools/mine_styles.py"
        )
    colors = class_colors(bank.header, palette)
    parts = [
        origin_part(bank),
        counts_part(bank, colors),
        cosines_part(bank, colors),
        projection_part(bank, colors, method=projection),
        distances_part(bank),
    ]
    if neighbors:
        parts.append(neighbors_part(bank, neighbors, own_class=own_class))
    header = bank.header
    lead = f"{len(bank)} styles of {header.layer} of {header.clip_name}, from {header.source}."
    html = page(f"Style bank {name}", [part.section for part in parts], lead=lead)
    pictures = {name: content for part in parts for name, content in part.files.items()}
    return _write(folder, pictures | {PAGE: html.encode()}) / PAGE


def _write(folder: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        write_atomically(folder / name, content)
    for name in set(_OPTIONAL) - files.keys():  # of an earlier report
        (folder / name).unlink(missing_ok=True)
    return folder

"""Part of the report about source patches that lie nearest to styles."""

from collections.abc import Sequence

import numpy as np

from ...styles import StyleBank
from ..figures import number_text, printable
from ..html import Markup, encode, gallery, paragraph, picture, section, subsection
from ..sem_seg import Image, stacked, title_strip, title_width, titled
from .nearest_patches import SourcePatch
from .part import Part
from .search import StyleNeighbors

SHEET = "nearest_patches.png"
_MOST_PICTURES = 240  # in the page; all are in the file
_QUALITY = 85  # JPEG
_GAP = 6  # pixels
_TITLE_HEIGHT, _CAPTION_HEIGHT = 24, 18
_WHITE = 255


def neighbors_part(bank: StyleBank, found: Sequence[StyleNeighbors], *, own_class: bool) -> Part:
    """Pictures below the class, text and cosines of each style, and all of them in one file.

    Args:
        bank: whose styles they are.
        found: what lies around each of the chosen styles.
        own_class: whether each was compared with patches of its own class alone.
    """
    whose = "of its own class" if own_class else "of any class"
    blocks: list[Markup] = [
        paragraph(
            f"For each style the source patches {whose} whose own statistics lie nearest to it, "
            "each with its distance, class and image."
        )
    ]
    pictures = 0
    for number, around in enumerate(found):
        pictures += len(around.neighbors.patches)
        if pictures > _MOST_PICTURES:
            left = len(found) - number
            blocks.append(paragraph(f"The patches of {left} more styles are in {SHEET}."))
            break
        blocks.append(_one_style(bank, around))
    return Part(section("Nearest source patches", *blocks), files={SHEET: _sheet(bank, found)})


def _sheet(bank: StyleBank, found: Sequence[StyleNeighbors]) -> bytes:
    """Below the title of each style a row of its patches."""
    rows: list[Image] = []
    for around in found:
        title = printable(_title(bank, around.row))
        rows.append(
            title_strip(title, width=title_width(title, _TITLE_HEIGHT), height=_TITLE_HEIGHT)
        )
        if patches := around.neighbors.patches:
            rows.append(_in_a_row([_with_caption(bank, patch) for patch in patches]))
    return encode(stacked(rows))


def _one_style(bank: StyleBank, around: StyleNeighbors) -> Markup:
    neighbors = around.neighbors
    facts = (
        f"Cosine {number_text(float(bank.cosine_before[around.row]))} before mining, "
        f"{number_text(float(bank.cosine_after[around.row]))} after it. "
    )
    if not neighbors.patches:
        blocks = [paragraph(facts, "No patch to compare it with.")]
    else:
        mean = f"Mean distance of {neighbors.compared} patches: {neighbors.mean_distance:.4g}."
        pictures = (_patch(bank, patch) for patch in neighbors.patches)
        blocks = [paragraph(facts, mean), gallery(*pictures)]
    return subsection(_title(bank, around.row), *blocks)


def _patch(bank: StyleBank, patch: SourcePatch) -> Markup:
    name = _class_name(bank, patch.class_id)
    caption = f"{patch.distance:.4g}, {name}, {patch.image_name}"
    alt = f"Patch of {patch.image_name}, mostly {name}"
    return picture(encode(patch.picture, quality=_QUALITY), alt, caption=caption)


def _title(bank: StyleBank, row: int) -> str:
    text = f"'{bank.prompts[row]}'" if bank.prompts[row].strip() else "unknown text"
    return f"{_class_name(bank, int(bank.class_id[row]))}, style {row}: {text}"


def _class_name(bank: StyleBank, class_id: int) -> str:
    names = {k: name for name, k in bank.header.labels.items()}
    return names.get(class_id, f"label {class_id}")


def _with_caption(bank: StyleBank, patch: SourcePatch) -> Image:
    text = f"{patch.distance:.4g} {_class_name(bank, patch.class_id)}"
    return titled(printable(text), patch.picture, height=_CAPTION_HEIGHT, below=True)


def _in_a_row(pictures: Sequence[Image]) -> Image:
    height = max(picture.shape[0] for picture in pictures)
    columns = [
        np.pad(p, ((0, height - len(p) + _GAP), (0, _GAP), (0, 0)), constant_values=_WHITE)
        for p in pictures
    ]
    return np.concatenate(columns, axis=1)

"""From a segmentor to files that were run, and compared with it, before they get their names."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..modeling import LangDGSegmentor
from ..utils.errors import LangDGError
from ..utils.file_io import write_atomically
from .formats import FORMATS, ExportedSegmentor, require_formats
from .graph import SegmentorGraph, trace
from .parity import Parity, measure_parity, require_parity


@dataclass(frozen=True, kw_only=True)
class Export:
    """A file that is written, but does not have its name yet.

    Attributes:
        path: what it is to be called.
        unverified: what it is called so far.
        segmentor: the file, opened.
        parity: how close it comes to its model, for each size of images.
    """

    path: Path
    unverified: Path
    segmentor: ExportedSegmentor
    parity: tuple[Parity, ...]


def export_segmentor(
    model: LangDGSegmentor,
    path: Path,
    *,
    formats: Sequence[str],
    metadata: Mapping[str, Any],
    sizes: Sequence[tuple[int, int]],
) -> list[Export]:
    """Write a segmentor to files, open them and compare them with it.

    Args:
        model: on the CPU; put into eval mode.
        path: of the files but for their suffixes; folders are made.
        formats: keys of `FORMATS`, all made of one trace.
        metadata: of `describe`; says whether the files give logits or classes.
        sizes: height and width in pixels of the images to compare on.

    Returns:
        The files in the order of the formats, for `publish`.

    Raises:
        LangDGError: for another format, or a size that the graph does not take.
        ImportError: if what a format needs is not installed.
        ParityError: if a file gives something of another shape than the model.
        OSError: if a file cannot be written.
    """
    require_formats(formats)
    _require_sizes(sizes, metadata["input"]["smallest_side"])
    program = trace(SegmentorGraph(model=model, result=metadata["output"]["name"]))
    exports = []
    for name in formats:
        kind = FORMATS[name]
        unverified = path.with_name(f"{path.name}.unverified{kind.suffix}")
        write_atomically(unverified, kind.encode(program, metadata))
        segmentor = kind.open(unverified)
        parity = tuple(measure_parity(model, segmentor.run, size=size) for size in sizes)
        final = path.with_name(f"{path.name}{kind.suffix}")
        exports.append(
            Export(path=final, unverified=unverified, segmentor=segmentor, parity=parity)
        )
    return exports


def publish(exports: Sequence[Export], *, largest_difference: float) -> None:
    """Give files their names, if all of them are as good as their model.

    Files of those names are replaced. Where one file is not good enough, none is renamed.

    Args:
        exports: made by `export_segmentor`.
        largest_difference: relative, that logits may have.

    Raises:
        ParityError: if one is not.
    """
    require_parity(
        {str(export.unverified): export.parity for export in exports},
        largest_difference=largest_difference,
    )
    for export in exports:
        os.replace(export.unverified, export.path)


def _require_sizes(sizes: Sequence[tuple[int, int]], smallest: int) -> None:
    for height, width in sizes:
        if min(height, width) < smallest:
            raise LangDGError(
                f"images of {height}x{width} pixels: an exported file of this network takes "
                f"{smallest} pixels a side or more"
            )

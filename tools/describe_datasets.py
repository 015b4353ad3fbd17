#!/usr/bin/env python
"""Describe the supported data sets, label maps and corruptions as Markdown.

python tools/describe_datasets.py --output docs/label_maps.md
"""

from argparse import Namespace
from collections.abc import Iterable, Sequence
from pathlib import Path

from langdg_d2.utils.arguments import command_parser


def parse(arguments: Sequence[str] | None) -> Namespace:
    """Parse the command line."""
    parser = command_parser(__doc__)
    parser.add_argument("--output", type=Path, help="file to write instead of printing")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    parse(None)  # first: the imports below take seconds

from langdg_d2.data import CORRUPTIONS
from langdg_d2.data.datasets.builtin import FAMILIES
from langdg_d2.data.datasets.family import DatasetFamily
from langdg_d2.structures import CITYSCAPES_19, ENCODINGS, LabelEncoding
from langdg_d2.utils.errors import report_errors
from langdg_d2.utils.file_io import write_atomically

NOTHING = "\u2013"  # en dash

INTRODUCTION = """\
# Data sets and label maps

This page is generated from the tables that the loaders use, by
`python tools/describe_datasets.py --output docs/label_maps.md`.

Labels are mapped to the 19 Cityscapes train ids when they are read. An id that is not in the map
is an error. Label files are PNG images. How a palette image is read depends on its palette:

- With the palette of the data set, the indices are the ids.
- Grey colours are ids.
- Other colours mean the ids that the data set assigns to them, if these belong to one class.
- Any other palette is an error, because programs that optimise PNG files renumber palettes.

Images may have any common format, with suffixes in upper or lower case. Grey images are converted
to RGB and 16-bit images to 8 bits. Transparency and EXIF orientation are ignored, as they are in
labels. Damaged and incomplete files are errors. The 62 frames of GTA5 whose image and label differ
in size are left out (15188, 17705, 20801 to 20860). Up to 1 % more are left out if their headers
show different sizes."""

LEFT_OUT = """\
Some data sets are supported only in part, because the meaning of the rest is uncertain:

- **IDD**: only `*_gtFine_labelcsTrainIds.png` of part I, as written by the authors' tool. Terrain
  is their "non-drivable fallback". Autorickshaws, animals, caravans and trailers are ignored.
  Level 3 ids merge classes (animal with person; caravan, trailer and train) and are refused. Part
  II is JPEG, and its number of images could not be confirmed.
- **Dark Zurich**: only the 50 labelled night images. The labels of the test images are not public.
- **Mapillary Vistas**: only v1.2. The ids of v2.0 mean other classes, so it is refused."""

# Files that contain these ids, and the source of their meaning.
WHERE: dict[str, str] = {
    "train ids": "`*_labelTrainIds.png` of Cityscapes, ACDC and Dark Zurich, "
    "`*_labelcsTrainIds.png` of IDD, masks of BDD100K. "
    "Sources: `trainId` of cityscapesScripts; `csTrainId` of AutoNUE/public-code.",
    "Cityscapes label ids": "`*_labelIds.png` of Cityscapes and ACDC. "
    "Source: `id` of cityscapesScripts. Licence plates are -1, which 8 bits hold as 255.",
    "GTA5 label ids": "Palette images of GTA5. Source: the label list of its authors, for ids and "
    "colours.",
    "SYNTHIA label ids": "First channel of the 16-bit images of SYNTHIA-RAND-CITYSCAPES. "
    "Source: the README of the download. The common map to Cityscapes.",
    "Mapillary v1.2 label ids, map A": "Palette images of Mapillary Vistas v1.2, read as "
    "RobustNet and FAMix do; the default. Source of ids, names and colours: `config.json` of the "
    "download.",
    "Mapillary v1.2 label ids, map B": "The same files, read as Rein and SoMA do.",
    "UrbanSyn train ids": "Images in `ss` of UrbanSyn. Source: the data set's own card; "
    "SoMA's conversion script for id 19.",
}

ABOUT_CORRUPTIONS = """\
To corrupt test images, set `evaluation.corruption.name` and `evaluation.corruption.severity`, or
add `langdg_d2.data.Corruption(name=..., severity=...)` to the augmentations of a `TestMapper`.

Formulas and constants are those of ImageNet-C (Hendrycks and Dietterich, ICLR 2019) as applied to
Cityscapes by Michaelis et al. (2019). The results resemble Cityscapes-C but are not its images:
noise is drawn with a seed that depends on the pixels of the image, and everything else differs by
at most one level. Fog, frost, snow, spatter, glass, motion and zoom blur, and elastic warping are
not included. Parameters of noise and contrast are intensities from 0 to 1, those of blurs are
pixels."""


def describe() -> str:
    """Return the document."""
    parts = [INTRODUCTION, "## Data sets", families_table(FAMILIES.values()), LEFT_OUT]
    parts.append("## Label maps")
    for name, encoding in ENCODINGS.items():
        parts += [f"### {name[0].upper()}{name[1:]}", WHERE[name], label_map_table(encoding)]
    parts += ["## Corruptions", ABOUT_CORRUPTIONS, severities_table()]
    return "\n\n".join(parts) + "\n"


def families_table(families: Iterable[DatasetFamily]) -> str:
    """Table of data sets with their splits and image sizes."""
    rows = [
        (
            f"`{family.name}_sem_seg_<split>`",
            f"[{family.title}]({family.website})",
            ", ".join(
                f"{split} {NOTHING if count is None else format(count, ',')}"
                for split, count in family.splits.items()
            ),
            ", ".join(f"{height} x {width}" for height, width in sorted(family.sizes or ()))
            or "various",
            family.condition,
        )
        for family in families
    ]
    table = markdown_table(
        ("registered name", "data set", "images", "height x width", "condition"), rows
    )
    return (
        f"{table}\n\n{NOTHING} means that the number depends on the list of the split. Splits "
        "called `test` have no labels; the authors' servers score predictions for them."
    )


def label_map_table(encoding: LabelEncoding) -> str:
    """Table of raw ids and their classes."""
    rows = []
    for raw, train in sorted(encoding.raw_to_train.items()):
        ignored = train == CITYSCAPES_19.ignore_label
        label = ("ignored", NOTHING) if ignored else (CITYSCAPES_19.names[train], str(train))
        rows.append((str(raw), encoding.raw_names.get(raw, NOTHING), *label))
    return markdown_table(("raw id", "name in the data set", "counts as", "train id"), rows)


def severities_table() -> str:
    """Table of the parameters of every corruption."""
    rows = [
        (f"`{name}`", *(" and ".join(map(str, severity)) for severity in kind.parameters))
        for name, kind in CORRUPTIONS.items()
    ]
    severities = range(1, len(rows[0]))
    return markdown_table(("corruption", *(f"severity {k}" for k in severities)), rows)


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Format a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print or write the document."""
    args = parse(arguments)
    with report_errors():
        if args.output is None:
            print(describe(), end="")
        else:
            write_atomically(args.output, describe().encode())


if __name__ == "__main__":
    main()

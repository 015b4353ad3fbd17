#!/usr/bin/env python
"""Print what the project knows of data sets, label maps and corruptions, as Markdown.

python tools/describe_datasets.py --output docs/label_maps.md
"""

from argparse import ArgumentParser
from collections.abc import Iterable, Sequence
from pathlib import Path

from langdg_d2.data import CORRUPTIONS
from langdg_d2.data.datasets.builtin import FAMILIES
from langdg_d2.data.datasets.family import DatasetFamily
from langdg_d2.structures import CITYSCAPES_19, ENCODINGS, LabelEncoding
from langdg_d2.utils.errors import report_errors
from langdg_d2.utils.file_io import write_atomically

NOTHING = "\u2013"  # en dash

INTRODUCTION = """\
# Data sets and label maps

Made by `python tools/describe_datasets.py` from the tables that the loaders use; change those,
then make it again.

Labels are mapped to the 19 Cityscapes train ids when they are read. An id that a map does not
list is an error, never a guess. Label files are PNG images. Of palette images the indices are ids
where they have the data set's own colours; grey colours are ids; other colours are those ids that
the data set gives them, if they are of one class. Any other palette is an error: programs that
optimise PNG files renumber palettes.

Images are found by names in all usual formats, with suffixes in any case. Grey becomes RGB,
16 bits are scaled to 8; transparency is ignored, and EXIF orientation is, too, as it is in
labels; damaged and incomplete files are errors. Of GTA5, 62 frames are left out whose image and
label differ in size (15188, 17705, 20801 to 20860), and up to 1 % more whose headers show it."""

LEFT_OUT = """\
Of some data sets only a part is read, because the meaning of the rest is not certain:

- IDD: only `*_gtFine_labelcsTrainIds.png` of part I, as the authors' tool draws them. Terrain is
  their "non-drivable fallback"; autorickshaws, animals, caravans and trailers are ignored. Level 3
  ids join classes (animal with person; caravan, trailer and train) and are refused. Part II comes
  as JPEG, and its number of images could not be confirmed.
- Dark Zurich: only the 50 labelled night images; the labels of the test images are not public.
- Mapillary Vistas: v1.2 only; v2.0 numbers other classes and is refused."""

# Which files hold such ids, and where their meaning is written down.
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
`langdg_d2.data.Corruption(name=..., severity=...)` goes into the augmentations of a `TestMapper`.
Formulas and constants are those of ImageNet-C (Hendrycks and Dietterich, ICLR 2019) as applied to
Cityscapes by Michaelis et al. (2019). This is in the style of Cityscapes-C, not its images:
noises are other draws, seeded with the pixels of every image, and the rest differs by one level
at most. Fog, frost, snow, spatter, glass, motion and zoom blur, and elastic warping are left out.
Noises and contrast count in intensities from 0 to 1, blurs in pixels."""


def describe() -> str:
    """The whole document."""
    parts = [INTRODUCTION, "## Data sets", families_table(FAMILIES.values()), LEFT_OUT]
    parts.append("## Label maps")
    for name, encoding in ENCODINGS.items():
        parts += [f"### {name[0].upper()}{name[1:]}", WHERE[name], label_map_table(encoding)]
    parts += ["## Corruptions", ABOUT_CORRUPTIONS, severities_table()]
    return "\n\n".join(parts) + "\n"


def families_table(families: Iterable[DatasetFamily]) -> str:
    """Every data set, with its splits and image sizes."""
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
        f"{table}\n\n{NOTHING} means as many as the list of the split names. Splits called "
        "`test` are images without labels, for predictions that the authors' servers score."
    )


def label_map_table(encoding: LabelEncoding) -> str:
    """What every raw id counts as."""
    rows = []
    for raw, train in sorted(encoding.raw_to_train.items()):
        ignored = train == CITYSCAPES_19.ignore_label
        label = ("ignored", NOTHING) if ignored else (CITYSCAPES_19.names[train], str(train))
        rows.append((str(raw), encoding.raw_names.get(raw, NOTHING), *label))
    return markdown_table(("raw id", "name in the data set", "counts as", "train id"), rows)


def severities_table() -> str:
    """The parameters of every corruption."""
    rows = [
        (f"`{name}`", *(" and ".join(map(str, severity)) for severity in kind.parameters))
        for name, kind in CORRUPTIONS.items()
    ]
    severities = range(1, len(rows[0]))
    return markdown_table(("corruption", *(f"severity {k}" for k in severities)), rows)


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the document, or write it."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, help="file to write instead of printing")
    args = parser.parse_args(arguments)
    with report_errors():
        if args.output is None:
            print(describe(), end="")
        else:
            write_atomically(args.output, describe().encode())


if __name__ == "__main__":
    main()

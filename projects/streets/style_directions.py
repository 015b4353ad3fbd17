"""Compare the directions of mined styles with those of the looks of streets.

Example:
    python projects/streets/style_directions.py output/quickstart/banks/seed1_*.safetensors \\
        --data output/quickstart/datasets --output output/directions

A style is a point: the mean and standard deviation of every channel. Both looks and mining shift
the patches of a class away from those of the source. The cosine between the shifts shows whether a
prompt points toward a look, and their lengths show whether it goes as far. The command writes a
table and a heat map of the means by style prompt and look.
"""

import argparse
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from detectron2.config import instantiate
from matplotlib.figure import Figure
from omegaconf import DictConfig
from streets.collection import SETTINGS_FILE
from streets.domains import DOMAINS, Role
from streets.experiment.runs import CONFIG
from torch import Tensor
from torch.nn.functional import cosine_similarity
from tqdm import tqdm

from langdg_d2.engine import load_config
from langdg_d2.evaluation.tables import markdown_table
from langdg_d2.structures import PatchGrid
from langdg_d2.styles import StyleBank
from langdg_d2.utils.errors import report_errors
from langdg_d2.utils.file_io import replacing, write_atomically
from langdg_d2.visualization.styles import PatchReader, style_points, style_prompts

LENGTH = "length"
_FEWEST_PATCHES = 5  # per class, for a meaningful mean
_DPI = 130
_FONT = 8


class Patches(NamedTuple):
    """Patches of images.

    Attributes:
        points: (P, D) statistics of the patches.
        class_ids: (P,) uint8, the most frequent label of each patch.
    """

    points: Tensor
    class_ids: Tensor


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("bank", nargs="+", metavar="BANK", help="style banks, used together")
    add("--data", type=Path, required=True, metavar="DIR", help="folder with scenes of all looks")
    add(
        "--output",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder for directions.md and directions.png",
    )
    add("--opts", nargs="+", default=[], metavar="KEY=VALUE", help="config overrides")
    return parser.parse_args(arguments)


def build_reader(cfg: DictConfig, bank: StyleBank, data: Path) -> PatchReader:
    """Build a reader that cuts scenes into patches of the size used in mining."""
    backbone = instantiate(cfg.model.backbone)
    bank.check(backbone)
    scene = json.loads((data / SETTINGS_FILE).read_text())
    height, width = cfg.dataloader.crop_size
    rows, cols = bank.header.grid
    return PatchReader(
        backbone=backbone,
        grid=PatchGrid(scene["height"] * rows // height, scene["width"] * cols // width),
        normalize=instantiate(cfg.styles.mining.miner.normalize),
        device=cfg.train.device,
    )


def read_patches(scenes: Iterable[list[dict[str, Any]]], reader: PatchReader) -> Patches:
    """Read the patches of a test loader's scenes."""
    examples = [example for batch in scenes for example in batch]
    labels = [example["sem_seg"][None].to(torch.uint8) for example in examples]
    return Patches(
        points=torch.cat([reader.points(example["image"][None]) for example in examples]),
        class_ids=torch.cat([reader.classes(label) for label in labels]),
    )


def directions(
    bank: StyleBank, source: Patches, looks: Mapping[str, Patches]
) -> tuple[pd.DataFrame, pd.Series]:
    """Compare every style of a bank with the same class in every look.

    Lengths are in standard deviations of the source's patches; dimensions without variance are
    left out. Values are NaN for classes with too few patches.

    Args:
        bank: styles, mined in patches of the same size.
        source: patches of the source.
        looks: patches of other looks, by name.

    Returns:
        A row for each style, with the cosine between its shift and the shift of its class by look,
        and the length of its shift; and the mean length of the classes' shifts by look.
    """
    labels = bank.header.labels.values()
    spread = source.points.std(dim=0)
    # Channels that are zero in all of the source have no unit of length.
    units = torch.where(spread > 0, 1 / spread, 0)
    origin, of_class = _class_means(source, labels), bank.class_id.long()
    styles = (style_points(bank.mean, bank.std) - origin[of_class]) * units
    shifts = {name: (_class_means(look, labels) - origin) * units for name, look in looks.items()}
    found = {
        name: cosine_similarity(styles, shift[of_class], dim=1) for name, shift in shifts.items()
    }
    lengths = {name: float(shift.norm(dim=1).nanmean()) for name, shift in shifts.items()}
    return pd.DataFrame(found | {LENGTH: styles.norm(dim=1)}), pd.Series(lengths)


def _class_means(patches: Patches, labels: Iterable[int]) -> Tensor:
    """Return the mean point of every label (L, D); NaN for labels with too few patches."""
    means = patches.points.new_full((max(labels) + 1, patches.points.shape[1]), torch.nan)
    for label in patches.class_ids.unique().tolist():
        own = patches.points[patches.class_ids == label]
        if len(own) >= _FEWEST_PATCHES:
            means[label] = own.mean(dim=0)
    return means


def compare(
    cfg: DictConfig, bank: StyleBank, reader: PatchReader
) -> tuple[pd.DataFrame, pd.Series]:
    """Compute `directions` for the scenes of all looks."""
    domains = [domain for domain in DOMAINS if domain.role is not Role.VALIDATION]
    source, *targets = (
        read_patches(instantiate(cfg.dataloader.test[domain.name]), reader)
        for domain in tqdm(domains, unit="look")
    )
    looks = [domain.look for domain in domains[1:]]
    return directions(bank, source, dict(zip(looks, targets, strict=True)))


def heat_map(cosines: pd.DataFrame) -> Figure:
    """Draw mean cosines, with a row for each style prompt and a column for each look."""
    rows, columns = cosines.shape
    figure = Figure((2 + 0.5 * columns, 1 + 0.22 * rows), dpi=_DPI, layout="constrained")
    axes = figure.subplots()
    axes.imshow(cosines, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
    axes.set_xticks(range(columns), cosines.columns, rotation=45, ha="right", fontsize=_FONT)
    axes.set_yticks(range(rows), cosines.index, fontsize=_FONT)
    for (row, column), value in np.ndenumerate(cosines.to_numpy()):
        axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=_FONT - 1)
    return figure


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare banks and scenes, and write the results."""
    args = parse(arguments)
    os.environ["DETECTRON2_DATASETS"] = str(args.data)
    with report_errors():
        cfg = load_config(str(CONFIG), args.opts)
        bank = StyleBank.merge([StyleBank.load(path) for path in args.bank])
        found, look_lengths = compare(cfg, bank, build_reader(cfg, bank, args.data))
        means = found.groupby(style_prompts(bank)).mean()
        prompts = instantiate(cfg.styles.mining.miner.prompts).styles
        means = means.loc[[prompt for prompt in prompts if prompt in means.index]]
        table = means.map("{:.2f}".format)
        table.loc[LENGTH] = look_lengths.map("{:.2f}".format).reindex(table.columns, fill_value="")
        text = markdown_table(table.rename_axis("style").reset_index())
        write_atomically(args.output / "directions.md", f"{text}\n".encode())
        with replacing(args.output / "directions.png") as file:
            heat_map(means.drop(columns=LENGTH)).savefig(file, format="png")
    print(text)


if __name__ == "__main__":
    main()

"""Compare mined styles with the looks of streets: do they go where their texts say, and how far?

Example:
    python projects/streets/style_directions.py output/quickstart/banks/seed1_*.safetensors \\
        --data output/quickstart/datasets --output output/directions

Writes a table and a heat map: mean cosine of the shifts from the source, by style prompt and look.
"""

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from detectron2.config import instantiate
from matplotlib.figure import Figure
from omegaconf import DictConfig
from streets.collection import SETTINGS_FILE
from streets.domains import DOMAINS, Role
from streets.experiment.directions import Directions, directions, read_patches
from streets.experiment.runs import CONFIG
from tabulate import tabulate
from tqdm import tqdm

from langdg_d2.engine import load_config
from langdg_d2.structures import PatchGrid
from langdg_d2.styles import StyleBank
from langdg_d2.utils.errors import report_errors
from langdg_d2.utils.file_io import replacing, write_atomically
from langdg_d2.visualization.styles import PatchReader, style_prompts

_LENGTH = "length"
_DPI = 130
_FONT = 8

Rows = Mapping[str, Mapping[str, float]]


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command's options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("bank", nargs="+", metavar="BANK", help="files of mined styles, taken together")
    add("--data", type=Path, required=True, metavar="DIR", help="scenes of all looks")
    add("--output", type=Path, required=True, metavar="DIR", help="for directions.md and .png")
    add("--opts", nargs="+", default=[], metavar="KEY=VALUE", help="changes of the config")
    return parser.parse_args(arguments)


def build_reader(cfg: DictConfig, bank: StyleBank, data: Path) -> PatchReader:
    """Cuts whole scenes into patches of the size that mining cuts crops into."""
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


def compare(cfg: DictConfig, bank: StyleBank, reader: PatchReader) -> Directions:
    """Read the scenes of all looks and compare."""
    read = {
        domain: read_patches(instantiate(cfg.dataloader.test[domain.name]), reader)
        for domain in tqdm(
            [domain for domain in DOMAINS if domain.role is not Role.VALIDATION], unit="look"
        )
    }
    (source,) = (patches for domain, patches in read.items() if domain.role is Role.SOURCE)
    targets = {d.look: patches for d, patches in read.items() if d.role is Role.TARGET}
    return directions(bank, source, targets)


def mean_by_prompt(
    bank: StyleBank, found: Directions, wanted: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Mean cosine with each look, and mean length, of the style prompts that a bank has."""
    prompts = np.array(style_prompts(bank))
    columns = {**found.cosines, _LENGTH: found.lengths}
    return {
        prompt: {
            name: float(values[prompts == prompt].nanmean()) for name, values in columns.items()
        }
        for prompt in wanted
        if prompt in prompts
    }


def table(rows: Rows, look_lengths: Mapping[str, float]) -> str:
    """Markdown, a row for each style prompt; the looks' own lengths in the last."""
    return tabulate(
        [
            *([title, *row.values()] for title, row in rows.items()),
            [_LENGTH, *look_lengths.values()],
        ],
        headers=["style", *look_lengths, _LENGTH],
        floatfmt=".2f",
        tablefmt="pipe",
    )


def heat_map(rows: Rows, looks: Sequence[str]) -> Figure:
    """Mean cosines, a row for each style prompt."""
    values = np.array([[row[look] for look in looks] for row in rows.values()])
    size = (2 + 0.5 * len(looks), 1 + 0.22 * len(rows))
    figure = Figure(figsize=size, dpi=_DPI, layout="constrained")
    axes = figure.subplots()
    axes.imshow(values, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
    axes.set_xticks(range(len(looks)), looks, rotation=45, ha="right", fontsize=_FONT)
    axes.set_yticks(range(len(rows)), list(rows), fontsize=_FONT)
    for (row, column), value in np.ndenumerate(values):
        axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=_FONT - 1)
    return figure


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the banks and the scenes, compare, write."""
    args = parse(arguments)
    os.environ["DETECTRON2_DATASETS"] = str(args.data)
    with report_errors():
        cfg = load_config(str(CONFIG), args.opts)
        bank = StyleBank.merge([StyleBank.load(path) for path in args.bank])
        found = compare(cfg, bank, build_reader(cfg, bank, args.data))
        styles = instantiate(cfg.styles.mining.miner.prompts).styles
        rows = mean_by_prompt(bank, found, styles)
        text = table(rows, found.look_lengths)
        write_atomically(args.output / "directions.md", f"{text}\n".encode())
        with replacing(args.output / "directions.png") as file:
            heat_map(rows, list(found.look_lengths)).savefig(file, format="png")
    print(text)


if __name__ == "__main__":
    main()

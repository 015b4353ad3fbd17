"""Tables, bar charts and a sheet of predictions of the results."""

import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import PIL.Image
from detectron2.data import DatasetCatalog
from matplotlib.figure import Figure

from langdg_d2.data.dataset_mapper import read_pair
from langdg_d2.evaluation import read_benchmark, record_rows
from langdg_d2.evaluation.tables import MEAN, MISSING, code, markdown_table
from langdg_d2.structures import CITYSCAPES_19
from langdg_d2.utils.file_io import replacing, write_text
from langdg_d2.visualization import palette_named, side_by_side
from langdg_d2.visualization.sem_seg import Image, stacked, write_png
from streets.experiment.runs import Run
from streets.experiment.variants import FULL, VARIANTS

UNSEEN, DIFFERENCE = "mean of unseen", "full minus this"
# Averaged over the classes in the scenes. With few scenes, predictions of absent classes should not
# determine the score.
_SCORE = "mIoU_detectron2"
_NOTE = (
    "Mean IoU in percent over the classes that occur, mean ± sample standard deviation over seeds. "
    f"'{UNSEEN}' is over looks first; '{DIFFERENCE}' is the full recipe's figure there less the "
    "variant's, seed by seed."
)
_COLOR = "#0072B2"
_DPI = 130
_PANELS = 3  # per row
_SIZE = (224, 112)  # width and height of a picture in the sheet, pixels
_SHOWN = ("other_city", "night", "rain")  # in the sheet; more rows would be too small


def read_scores(runs: Sequence[Run]) -> pd.DataFrame:
    """Read mean IoU in percent, with a row for each variant and seed; NaN for missing values.

    Returns:
        Columns of every unseen look, their mean, the source, and the lead of the full recipe with
        the same seed on unseen looks.
    """
    source, *unseen = runs[0].experiment.domains
    titles = {domain.name: domain.look for domain in unseen}
    titles |= {MEAN: UNSEEN, source.name: f"{source.look} (source)"}
    scores = pd.DataFrame(
        {
            (run.variant.name, run.seed): record_rows(read_benchmark(run.scores))[_SCORE]
            for run in runs
        }
    ).T.rename_axis(["cell", "seed"])
    scores = scores[list(titles)].rename(columns=titles)
    # Runs with the same seed share initial weights, images and crops, so their differences vary
    # less than their scores.
    variants, seeds = (scores.index.get_level_values(level) for level in scores.index.names)
    recipe = scores.loc[variants == FULL, UNSEEN].droplevel("cell")
    scores[DIFFERENCE] = (seeds.map(recipe) - scores[UNSEEN]).where(variants != FULL)
    return scores


def spread(values: pd.Series) -> str:
    """Format the mean ± sample standard deviation, if there is one."""
    deviation = f" ± {values.std():.1f}" if values.count() > 1 else ""
    return f"{values.mean():.1f}{deviation}" if values.count() else MISSING


def write_tables(runs: Sequence[Run], folder: Path, command: str) -> None:
    """Write the results of scored runs: `table.md` for people, `table.csv` with all digits.

    Args:
        runs: runs of one experiment; those without scores are left out.
        folder: output folder.
        command: command to record.
    """
    if not (scored := [run for run in runs if run.is_scored]):
        return
    by_variant = read_scores(scored).groupby(level=0, sort=False)
    table = by_variant.agg(spread).assign(seeds=by_variant.size())
    table.insert(0, "variant", [VARIANTS[name].title for name in table.index])
    parts = ["# Variants of the recipe on streets", markdown_table(table), _NOTE]
    parts.append(f"Command: {code(command)}")
    write_text(folder / "table.md", "\n\n".join(parts) + "\n")
    means = by_variant.agg(["mean", "std"])
    means.columns = [title if kind == "mean" else f"{title} std" for title, kind in means]
    means.insert(0, "seeds", by_variant.size())
    write_text(folder / "table.csv", means.to_csv())


def write_pictures(runs: Sequence[Run], folder: Path) -> None:
    """Draw bars of means and of single looks, and a sheet of predictions, for scored runs."""
    scores = read_scores(runs).drop(columns=DIFFERENCE)
    for name, columns in (("mean", [UNSEEN]), ("looks", scores.columns.drop(UNSEEN))):
        with replacing(folder / f"{name}.png") as file:
            draw_bars(scores[columns]).savefig(file, format="png")
    write_png(folder / "predictions.png", draw_sheet(runs))


def draw_bars(scores: pd.DataFrame) -> Figure:
    """Draw a panel for each column, with a bar for each variant and its deviation over seeds."""
    by_variant = scores.groupby(level=0, sort=False)
    means, deviations = by_variant.mean(), by_variant.std()  # NaN, of single seeds, is not drawn
    columns = min(len(means.columns), _PANELS)
    rows = -(-len(means.columns) // columns)
    size = (5 + 3 * (columns - 1), rows * (0.3 * len(means) + 1))
    figure = Figure(size, dpi=_DPI, layout="constrained")
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False).flatten()
    for title, axes in zip(means, panels, strict=False):
        titles = [VARIANTS[name].title for name in means.index]
        axes.barh(titles, means[title], xerr=deviations[title], color=_COLOR, capsize=2)
        axes.set(title=title, xlabel="mIoU, %", ylim=(len(means) - 0.5, -0.5), axisbelow=True)
        axes.grid(axis="x", alpha=0.3)
    return figure


def draw_sheet(runs: Sequence[Run]) -> Image:
    """Draw the first scene of a few unseen looks with labels and predictions of each variant.

    For variants with several seeds, the first one is shown.
    """
    experiment = runs[0].experiment
    os.environ["DETECTRON2_DATASETS"] = str(next(iter(experiment.collections)))
    paint = palette_named("classes", CITYSCAPES_19).paint_classes
    rows = []
    unseen = experiment.domains[1:]
    for domain in [d for d in unseen if d.look in _SHOWN] or unseen:
        name = experiment.base.dataloader.test[domain.name].dataset.names
        record = DatasetCatalog.get(name)[0]
        image, labels = read_pair(record)
        panels = {domain.look: image, "labels": paint(labels)}
        for run in runs:
            (file,) = run.scores.glob(f"predictions/{name}/**/{Path(record['file_name']).stem}.png")
            panels.setdefault(run.variant.title, paint(np.asarray(PIL.Image.open(file))))
        small = {title: cv2.resize(panel, _SIZE) for title, panel in panels.items()}
        rows.append(side_by_side(small))
    return stacked(rows)

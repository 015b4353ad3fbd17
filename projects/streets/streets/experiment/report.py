"""The results as tables, bars, and a sheet of predictions."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
from detectron2.data import DatasetCatalog
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from PIL import Image

from langdg_d2.data.dataset_mapper import read_pair
from langdg_d2.evaluation import read_benchmark
from langdg_d2.structures import CITYSCAPES_19
from langdg_d2.styles import StyleBank
from langdg_d2.utils.file_io import replacing, write_text
from streets.experiment.runs import Experiment, Run
from streets.experiment.variants import FULL, VARIANTS

Picture = npt.NDArray[np.uint8]

SECONDS, DIFFERENCE, UNSEEN = "training_seconds", "full_minus_this", "mean of unseen"
# Over the classes that occur in the scenes. These are few, and whether a model ever predicts a
# class that is in none of them should not decide on its figure.
_SCORE = "mIoU_detectron2"
_NOTE = (
    "Mean IoU in percent over the classes that occur, mean ± sample standard deviation over seeds. "
    f"'{UNSEEN}' is over looks first; 'full minus this' is the full recipe's figure there less the "
    "variant's, seed by seed; training is given without interruptions."
)
# Of Okabe and Ito's palette, which people of any colour vision tell apart.
_COLORS = {"the recipe": "#D55E00", "frozen": "#E69F00", "nothing frozen": "#0072B2"}
_MISSING = "\N{EN DASH}"
_DPI = 130
_PANELS = 3  # side by side
_PICTURE = (224, 112)  # width and height in the sheet, pixels
_GAP = 4  # between pictures, pixels


def read_scores(experiment: Experiment, runs: Sequence[Run]) -> pd.DataFrame:
    """What was measured, NaN where it was not: a row for each variant and seed.

    Returns:
        Seconds of training; by how many points the full recipe of the same seed is above on unseen
        domains; mean IoU in percent of every unseen domain, their mean, and the source.
    """
    source, *unseen = experiment.domains
    keys = {domain.look: domain.name for domain in unseen}
    keys |= {UNSEEN: "mean", f"{source.look} (source)": source.name}
    rows = {}
    for run in runs:
        results = read_benchmark(run.scores)["results"]
        mious = {title: results[key]["sem_seg"][_SCORE] for title, key in keys.items()}
        rows[run.variant.name, run.seed] = {SECONDS: run.seconds, DIFFERENCE: None, **mious}
    scores = pd.DataFrame(rows, dtype=float).T.rename_axis(["cell", "seed"])
    # Runs of one seed that were never interrupted share weights at the start, images and crops, so
    # their differences vary less than their scores do.
    variants, seeds = (scores.index.get_level_values(level) for level in scores.index.names)
    recipe = scores.loc[variants == FULL, UNSEEN].droplevel("cell")
    scores[DIFFERENCE] = (seeds.map(recipe) - scores[UNSEEN]).where(variants != FULL)
    return scores


def spread(values: Sequence[float] | pd.Series, digits: int = 1) -> str:
    """Mean ± sample standard deviation, as far as there is one."""
    values = pd.Series(values, dtype=float)
    deviation = f" ± {values.std():.{digits}f}" if values.count() > 1 else ""
    return f"{values.mean():.{digits}f}{deviation}" if values.count() else _MISSING


def table_markdown(scores: pd.DataFrame) -> str:
    """Means ± deviations, a row for each variant."""
    by_variant = scores.groupby(level=0, sort=False)
    table = by_variant.agg(spread).drop(columns=SECONDS)
    columns = ["variant", "freeze", "augment", "mix"]
    about = pd.DataFrame([VARIANTS[name][:4] for name in table.index], table.index, columns)
    last = {
        "full minus this": table.pop(DIFFERENCE),
        "training, s": by_variant[SECONDS].agg(lambda seconds: spread([seconds.mean()], digits=0)),
        "seeds": by_variant.size(),
    }
    about[["freeze", "mix"]] = about[["freeze", "mix"]].map(lambda part: "yes" if part else "no")
    return _markdown(about.join(table).assign(**last))


def mined_styles(runs: Sequence[Run]) -> pd.DataFrame:
    """How many styles were mined, and their similarity to their texts: a row for each mining."""
    rows, known = [], set()
    for variant in dict.fromkeys(run.variant for run in runs):
        files = {run.bank for run in runs if run.variant == variant and run.bank} - known
        if banks := [StyleBank.load(file) for file in files if file.is_file()]:
            known |= files
            row = {"mined for": variant.title, "styles": f"{fmean(map(len, banks)):.0f}"}
            for when in ("before", "after"):
                cosines = [float(getattr(bank, f"cosine_{when}").mean()) for bank in banks]
                row[when] = spread(cosines, digits=3)
            rows.append(row)
    return pd.DataFrame(rows)


def _markdown(table: pd.DataFrame) -> str:
    """A pipe table, the first column to the left and the others to the right."""
    sides = ["left", *["right"] * (len(table.columns) - 1)]
    return table.astype(str).to_markdown(index=False, disable_numparse=True, colalign=sides)


def _facts(experiment: Experiment, runs: Sequence[Run], command: str) -> dict[str, str]:
    states = [git for run in runs if (git := read_benchmark(run.scores)["git"])]
    code = {f"{git['commit'][:7]}{'+' if git['dirty'] else ''}" for git in states}
    scenes = experiment.scenes
    return {
        "last command": command,
        "code": ", ".join(sorted(code)) or _MISSING,
        "iterations": str(experiment.base.train.max_iter),
        "scenes": f"{scenes.height}x{scenes.width} pixels, {scenes.train} to train on, scored "
        f"{scenes.val} of the source and {scenes.targets} of every other look, seed {scenes.seed}",
        "machine": f"{os.cpu_count()} CPU cores ({platform.machine()})",
    }


def write_tables(experiment: Experiment, command: str) -> bool:
    """Write what scored runs reached; gives whether there are any.

    `table.md` is for people. Of all digits, `table.csv` has means and sample standard deviations
    over seeds, `table.json` what `read_scores` gives.
    """
    if not (runs := experiment.scored_runs()):
        return False
    scores, facts = read_scores(experiment, runs), _facts(experiment, runs, command)
    parts = ["# Variants of the recipe on streets", table_markdown(scores), _NOTE]
    if len(mined := mined_styles(runs)):
        parts += ["Mean cosine between patch and text, before and after mining:", _markdown(mined)]
    parts.append("\n".join(f"- {name}: {value}" for name, value in facts.items()))
    write_text(experiment.scores / "table.md", "\n\n".join(parts) + "\n")

    by_variant = scores.groupby(level=0, sort=False)
    means = by_variant.agg(["mean", "std"])
    means.columns = [title if kind == "mean" else f"{title} std" for title, kind in means]
    means.insert(0, "seeds", by_variant.size())
    write_text(experiment.scores / "table.csv", means.to_csv())
    rows = scores.reset_index().astype(object).where(lambda table: table.notna(), None)
    record = {"facts": facts, "runs": rows.to_dict("records")}
    write_text(experiment.scores / "table.json", json.dumps(record, indent=1) + "\n")
    return True


def write_pictures(experiment: Experiment) -> None:
    """Draw the scored runs: bars of means and of single looks, and a sheet of predictions."""
    runs, looks = experiment.scored_runs(), list(experiment.scenes.looks)
    scores = read_scores(experiment, runs)
    figures = {
        "mean": draw_bars(scores[[UNSEEN]]),
        "looks": draw_bars(scores[[*looks, scores.columns[-1]]]),
        "predictions": draw_sheet(predictions(experiment, runs), looks),
    }
    for name, figure in figures.items():
        with replacing(experiment.scores / f"{name}.png") as file:
            figure.savefig(file, format="png")


def _kind(name: str) -> str:
    return "the recipe" if name == FULL else "frozen" if VARIANTS[name].freeze else "nothing frozen"


def draw_bars(scores: pd.DataFrame) -> Figure:
    """A panel for each column: a bar for each variant, its deviation, a dot for each seed."""
    by_variant = scores.groupby(level=0, sort=False)
    means, deviations = by_variant.mean(), by_variant.std()
    columns = min(len(means.columns), _PANELS)
    rows = -(-len(means.columns) // columns)
    size = (5 + 3 * (columns - 1), rows * (0.3 * len(means) + 1.3))
    figure = Figure(size, dpi=_DPI, layout="constrained")
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False).flatten()
    colors = [_COLORS[_kind(name)] for name in means.index]
    titles = {name: variant.title for name, variant in VARIANTS.items()}
    for title, axes in zip(means, panels, strict=False):
        # The deviation of a single seed is NaN, which is not drawn.
        style = {"xerr": deviations[title], "color": colors, "capsize": 2}
        axes.barh(means.index.map(titles), means[title], **style)
        dots = scores.index.get_level_values(0).map(titles)
        axes.plot(scores[title], dots, ".", color="black", markersize=3)
        axes.set(title=title, xlabel="mIoU, %", ylim=(len(means) - 0.5, -0.5), axisbelow=True)
        axes.grid(axis="x", alpha=0.3)
    handles = [Patch(color=color, label=kind) for kind, color in _COLORS.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize="small")
    return figure


def predictions(experiment: Experiment, runs: Sequence[Run]) -> dict[str, list[Picture]]:
    """The first scene of each unseen domain, its labels, and what the first run of a variant says.

    Gives rows of pictures (H, W, 3), uint8 RGB, by their titles.
    """
    os.environ["DETECTRON2_DATASETS"] = str(experiment.data)
    names = [experiment.dataset(domain) for domain in experiment.domains[1:]]
    records = {name: DatasetCatalog.get(name)[0] for name in names}
    images, labels = zip(*map(read_pair, records.values()), strict=True)
    rows = {"image": list(images), "labels": [_painted(label) for label in labels]}
    for run in runs:
        if run.variant.title not in rows:
            rows[run.variant.title] = row = []
            for name, record in records.items():
                file = f"{name}/**/{Path(record['file_name']).stem}.png"
                (found,) = (run.scores / "predictions").glob(file)
                row.append(_painted(np.asarray(Image.open(found))))
    return rows


def _painted(train_ids: Picture) -> Picture:
    colors = np.zeros((256, 3), np.uint8)  # black where nothing is labelled
    colors[: len(CITYSCAPES_19.colors)] = CITYSCAPES_19.colors
    return colors[train_ids]


def draw_sheet(rows: Mapping[str, Sequence[Picture]], columns: Sequence[str]) -> Figure:
    """Rows of pictures, made small, under the titles of the columns."""

    def small(picture: Picture) -> Picture:
        smaller = cv2.resize(picture, _PICTURE, interpolation=cv2.INTER_AREA)
        return np.pad(smaller, ((0, _GAP), (0, _GAP), (0, 0)), constant_values=255)

    sheet = np.vstack([np.hstack([small(picture) for picture in row]) for row in rows.values()])
    height, width, _ = sheet.shape
    figure = Figure((width / _DPI + 2, height / _DPI + 0.5), dpi=_DPI, layout="constrained")
    axes = figure.subplots()
    axes.imshow(sheet)
    axes.set_xticks(np.linspace(0, width, len(columns), endpoint=False), columns, ha="left")
    axes.set_yticks(np.linspace(0, height, len(rows), endpoint=False), list(rows), va="top")
    axes.xaxis.tick_top()
    return figure

"""Scores of all runs, cell by cell: means and spreads over seeds, and differences to the recipe."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from langdg_d2.evaluation import read_benchmark, summarize_runs
from langdg_d2.evaluation.markdown import MISSING
from langdg_d2.evaluation.results import MEAN, MEAN_IOU, TASK
from langdg_d2.evaluation.summary import RunSummary
from streets.experiment.cells import FULL, Cell
from streets.experiment.runs import Run

_DIGITS = 7  # of a commit

# Over the classes that occur in the scenes. These are few, and whether a model ever predicts a
# class that is in none of them should not decide on its figure.
_SCORE = f"{MEAN_IOU}_detectron2"


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation over seeds; NaN where there is none."""

    mean: float
    std: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Of values, one a seed."""
        return cls(
            fmean(values) if values else math.nan, stdev(values) if len(values) > 1 else math.nan
        )

    def __str__(self) -> str:
        return self.text(digits=1)

    def text(self, *, digits: int) -> str:
        """Mean, and deviation if there is one, with so many decimals."""
        if math.isnan(self.mean):
            return MISSING
        deviation = "" if math.isnan(self.std) else f" ± {self.std:.{digits}f}"
        return f"{self.mean:.{digits}f}{deviation}"


@dataclass(frozen=True, kw_only=True)
class CellResult:
    """What was measured of a cell.

    Attributes:
        cell: what was trained.
        runs: those that are scored, by their seeds.
        summary: their scores, as the benchmark's own tables have them.
        seconds: that training took.
    """

    cell: Cell
    runs: dict[int, Run]
    summary: RunSummary
    seconds: Spread

    def miou(self, domain: str) -> Spread:
        """Mean IoU over seeds, of a domain or of all unseen ones (`MEAN`)."""
        tables = (self.summary.means, self.summary.deviations)
        return Spread(*(table[domain][_SCORE] for table in tables))

    def by_seed(self, domain: str) -> dict[int, float]:
        """Mean IoU of every run."""
        records = zip(self.runs, self.summary.records.values(), strict=True)
        found = {seed: record["results"][domain][TASK][_SCORE] for seed, record in records}
        return {seed: math.nan if value is None else value for seed, value in found.items()}


def collect(runs: Sequence[Run]) -> list[CellResult]:
    """Results of the runs that are scored, cells in the order of the runs.

    Raises:
        BenchmarkFileError: if a record is damaged, or runs of a cell were not measured alike.
    """
    by_cell: dict[Cell, dict[int, Run]] = {}
    for run in runs:
        if run.is_scored:
            by_cell.setdefault(run.cell, {})[run.seed] = run
    return [
        CellResult(
            cell=cell,
            runs=scored,
            summary=summarize_runs(
                {run.name: read_benchmark(run.scores) for run in scored.values()}
            ),
            seconds=Spread.of([s for run in scored.values() if (s := run.seconds) is not None]),
        )
        for cell, scored in by_cell.items()
    ]


def commits(results: Sequence[CellResult]) -> list[str]:
    """The code that scored the runs: short commits, with a plus where files were changed."""
    records = [record for result in results for record in result.summary.records.values()]
    states = [record["git"] for record in records if record["git"]]
    names = {f"{git['commit'][:_DIGITS]}{'+' if git['dirty'] else ''}" for git in states}
    return sorted(names) or [MISSING]


def full_minus(results: Sequence[CellResult], result: CellResult) -> Spread:
    """By how much the full recipe is above a cell on unseen looks, seed by seed.

    Runs of one seed that were never interrupted share weights at the start, images and crops, so
    their differences vary less than their scores do.
    """
    full = next((one for one in results if one.cell.name == FULL), None)
    if full is None or full is result:
        return Spread(math.nan, math.nan)
    recipe, other = full.by_seed(MEAN), result.by_seed(MEAN)
    return Spread.of([recipe[seed] - other[seed] for seed in recipe if seed in other])

"""What a benchmark was made with, and what came of it, in a few words."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ...evaluation.markdown import percent
from ...evaluation.results import MEAN, MEAN_IOU, TASK, unseen_targets
from .results_folder import ResultsFolder


def title(results: ResultsFolder) -> str:
    """A heading that names the configuration."""
    config = results.run.config_file
    return f"Benchmark of {Path(config).stem}" if config else "Benchmark"


def lead(results: ResultsFolder) -> str:
    """What was trained on, what was tested on, and the main figure."""
    source, tables = results.run.source, results.results
    trained = f"Trained on {source}. " if source else ""
    targets = unseen_targets(tables, source)
    if not targets:
        return f"{trained}No unseen target was scored."
    mean = tables.get(MEAN, {}).get(TASK, {}).get(MEAN_IOU, math.nan)
    counted = f"{len(targets)} unseen target{'s' * (len(targets) > 1)}"
    return f"{trained}Mean IoU over {counted}: {percent(mean)} % (authors' convention)."


def conditions(results: ResultsFolder) -> dict[str, str]:
    """Settings, code, libraries and machine, as far as they are recorded."""
    run, record = results.run, results.record
    given = {
        "date": run.date,
        "config": run.config_file,
        "source": run.source,
        "protocol": run.protocol,
        "inference": run.inference,
        "weights": run.weights,
        "seed": run.seed,
    }
    if git := record.get("git"):
        given["commit"] = git["commit"] + (", changed" if git["dirty"] else "")
    given |= record.get("versions", {}) | record.get("environment", {})
    return {name: str(value) for name, value in given.items() if value is not None}


def config_text(config: Mapping[str, Any] | str | None) -> str | None:
    """A configuration as YAML; None if there is none."""
    if config is None or isinstance(config, str):
        return config
    return str(yaml.safe_dump(config, sort_keys=False, allow_unicode=True))

"""What a benchmark was made with, and what came of it, in a few words."""

import math
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

import yaml

from ...evaluation.markdown import percent
from ...evaluation.results import MEAN, MEAN_IOU, TASK, unseen_targets
from .results_folder import ResultsFolder, weights_folder

# Libyaml's, where there is one: several times as fast as the one in Python.
_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def title(results: ResultsFolder) -> str:
    """A heading that names configuration and run, the latter by the end of its folder's path."""
    config, run = results.run.config_file, weights_folder(results.record)
    names = (run.parts[-2:] if run else ()) or results.folder.resolve().parts[-2:]
    named = f" of {Path(config).stem}" if config else ""
    return f"Benchmark{named}: {PurePath(*names).as_posix()}"


def lead(results: ResultsFolder) -> str:
    """What was trained on, what was tested on, and the main figure."""
    source, tables = results.run.source, results.results
    trained = f"Trained on {source}. " if source else ""
    targets = unseen_targets(tables, source)
    if not targets:
        return f"{trained}No unseen target was scored."
    mean = tables.get(MEAN, {}).get(TASK, {}).get(MEAN_IOU, math.nan)
    counted = f"{len(targets)} unseen target{'s' * (len(targets) > 1)}"
    if other := [target for target in targets if target in results.run.sets]:
        counted += f", {len(other)} of them not the published set{'s' * (len(other) > 1)}"
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
    options: dict[str, Any] = {"sort_keys": False, "allow_unicode": True}
    try:
        return str(yaml.dump(config, Dumper=_Dumper, **options))
    except UnicodeEncodeError:  # libyaml does not write names that were no UTF-8
        return str(yaml.safe_dump(config, **options))

"""Results as lines to copy, as flat scalars, and against expectations."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

logger = logging.getLogger(__name__)


def print_csv_format(results: Mapping[str, Any]) -> None:
    """Log the scores of every task as a line of names and a line of values.

    Args:
        results: {task: {metric: score}}. Metrics of one class, those with a "-" in the name, are
            left out.
    """
    for task, scores in results.items():
        if not isinstance(scores, Mapping):
            logger.info("copypaste: %s=%s", task, scores)
            continue
        shown = {metric: score for metric, score in scores.items() if "-" not in metric}
        logger.info("copypaste: Task: %s", task)
        logger.info("copypaste: %s", ",".join(shown))
        logger.info("copypaste: %s", ",".join(f"{score:.4f}" for score in shown.values()))


def verify_results(cfg: Any, results: Mapping[str, Mapping[str, float]]) -> bool:
    """Compare results with `cfg.TEST.EXPECTED_RESULTS`: (task, metric, score, tolerance) each.

    Returns:
        True. A missing, infinite or deviating score is logged and ends the program with status 1.
    """
    expectations = cfg.TEST.EXPECTED_RESULTS
    missed = []
    for task, metric, expected, tolerance in expectations:
        actual = results[task].get(metric, np.nan)
        if not (np.isfinite(actual) and abs(actual - expected) <= tolerance):
            missed.append(f"{task}/{metric} is {actual}, expected {expected} ± {tolerance}")
    if missed:
        logger.error("results deviate: %s", "; ".join(missed))
        sys.exit(1)
    if len(expectations):
        logger.info("results are as expected")
    return True


def flatten_results_dict(results: Mapping[str, Any]) -> dict[str, Any]:
    """{"a": {"b": 1}} → {"a/b": 1}, at any depth."""
    flat = {}
    for key, value in results.items():
        if isinstance(value, Mapping):
            flat.update({f"{key}/{k}": v for k, v in flatten_results_dict(value).items()})
        else:
            flat[key] = value
    return flat

"""Results as lines to copy and as flat scalars."""

import logging
from collections.abc import Mapping
from typing import Any

logger = logging.getLogger(__name__)


def print_csv_format(results: Mapping[str, Any]) -> None:
    """Log names and values of {task: {metric: score}}, without those of classes ("IoU-road")."""
    for task, scores in results.items():
        if isinstance(scores, Mapping):
            shown = {metric: score for metric, score in scores.items() if "-" not in metric}
            logger.info(f"copypaste: Task: {task}")
            logger.info("copypaste: " + ",".join(shown))
            logger.info("copypaste: " + ",".join(f"{score:.4f}" for score in shown.values()))
        else:
            logger.info(f"copypaste: {task}={scores}")


def flatten_results_dict(results: Mapping[str, Any]) -> dict[str, Any]:
    """{"a": {"b": 1}} → {"a/b": 1}, at any depth."""
    flat = {}
    for key, value in results.items():
        if isinstance(value, Mapping):
            flat.update({f"{key}/{k}": v for k, v in flatten_results_dict(value).items()})
        else:
            flat[key] = value
    return flat

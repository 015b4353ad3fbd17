"""Scores of semantic segmentation, on one data set and over many domains."""

from .confusion import ConfusionMatrix
from .evaluator import StreamingSemSegEvaluator, predicted_classes
from .multi_domain import evaluate_domains
from .results import BenchmarkRun, headline_figures, write_benchmark

__all__ = [
    "BenchmarkRun",
    "ConfusionMatrix",
    "StreamingSemSegEvaluator",
    "evaluate_domains",
    "headline_figures",
    "predicted_classes",
    "write_benchmark",
]

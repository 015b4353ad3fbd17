"""Scores of semantic segmentation, on one data set and over many domains."""

from .benchmark import run_benchmark, write_benchmark
from .confusion import ConfusionMatrix
from .evaluator import StreamingSemSegEvaluator, predicted_classes
from .inference import build_inference, inference_name
from .multi_domain import evaluate_domains
from .multi_scale import MultiScaleInference
from .predictions import PredictionWriter
from .protocols import PROTOCOLS, protocol_augmentations, protocol_dataset
from .provenance import plain_data
from .published import PublishedFigures, published_figures, published_names
from .record import BenchmarkRun
from .results import headline_figures
from .sliding_window import SlidingWindowInference
from .summary import (
    BenchmarkFileError,
    read_benchmark,
    summarize_runs,
    summary_csv,
    summary_markdown,
)

__all__ = [
    "PROTOCOLS",
    "BenchmarkFileError",
    "BenchmarkRun",
    "ConfusionMatrix",
    "MultiScaleInference",
    "PredictionWriter",
    "PublishedFigures",
    "SlidingWindowInference",
    "StreamingSemSegEvaluator",
    "build_inference",
    "evaluate_domains",
    "headline_figures",
    "inference_name",
    "plain_data",
    "predicted_classes",
    "protocol_augmentations",
    "protocol_dataset",
    "published_figures",
    "published_names",
    "read_benchmark",
    "run_benchmark",
    "summarize_runs",
    "summary_csv",
    "summary_markdown",
    "write_benchmark",
]

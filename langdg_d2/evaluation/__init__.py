"""Scores of semantic segmentation, on one data set and over many domains."""

from ..utils.provenance import plain_data
from .benchmark import Benchmark, evaluator_if, run_benchmark, write_benchmark
from .completeness import incomplete_sets, incomplete_sources, with_training
from .confusion import ConfusionMatrix
from .details import read_details, read_images
from .evaluator import StreamingSemSegEvaluator
from .image_scores import ImageScore, predicted_classes
from .inference import build_inference, inference_name, unwrapped
from .multi_domain import evaluate_domains
from .multi_scale import MultiScaleInference
from .predictions import PredictionWriter
from .protocols import protocol_augmentations, protocol_dataset, protocol_name
from .published import published_figures, published_names
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
    "Benchmark",
    "BenchmarkFileError",
    "BenchmarkRun",
    "ConfusionMatrix",
    "ImageScore",
    "MultiScaleInference",
    "PredictionWriter",
    "SlidingWindowInference",
    "StreamingSemSegEvaluator",
    "build_inference",
    "evaluate_domains",
    "evaluator_if",
    "headline_figures",
    "incomplete_sets",
    "incomplete_sources",
    "inference_name",
    "plain_data",
    "predicted_classes",
    "protocol_augmentations",
    "protocol_dataset",
    "protocol_name",
    "published_figures",
    "published_names",
    "read_benchmark",
    "read_details",
    "read_images",
    "run_benchmark",
    "summarize_runs",
    "summary_csv",
    "summary_markdown",
    "unwrapped",
    "with_training",
    "write_benchmark",
]

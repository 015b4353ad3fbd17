"""Evaluation of semantic segmentation, on one data set and over many domains."""

from .benchmark import (
    RECORD,
    Benchmark,
    BenchmarkFileError,
    evaluator_if,
    read_benchmark,
    read_details,
    read_images,
    write_benchmark,
)
from .completeness import incomplete_sets, incomplete_sources, with_training
from .confusion import ConfusionMatrix
from .evaluator import (
    ImageScore,
    StreamingSemSegEvaluator,
    classes_to_score,
    image_classes,
    image_counts,
    predicted_classes,
    require_finite,
    score_image,
)
from .inference import (
    MultiScaleInference,
    SlidingWindowInference,
    build_inference,
    evaluate_domains,
    inference_name,
    unwrapped,
)
from .predictions import PredictionWriter
from .protocols import protocol_augmentations, protocol_dataset, protocol_name
from .published import published_figures, published_names
from .summary import config_difference, summarize_runs, summary_csv, summary_markdown
from .tables import BenchmarkRun, record_rows, score_rows

__all__ = [
    "RECORD",
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
    "classes_to_score",
    "config_difference",
    "evaluate_domains",
    "evaluator_if",
    "image_classes",
    "image_counts",
    "incomplete_sets",
    "incomplete_sources",
    "inference_name",
    "predicted_classes",
    "protocol_augmentations",
    "protocol_dataset",
    "protocol_name",
    "published_figures",
    "published_names",
    "read_benchmark",
    "read_details",
    "read_images",
    "record_rows",
    "require_finite",
    "score_image",
    "score_rows",
    "summarize_runs",
    "summary_csv",
    "summary_markdown",
    "unwrapped",
    "with_training",
    "write_benchmark",
]

"""A trained segmentor as a file that runs without this project: `torch.export` or ONNX."""

from .exporting import Export, export_segmentor, publish
from .formats import FORMATS, ExportedSegmentor, require_formats
from .graph import RESULTS, SegmentorGraph, trace
from .loading import load_segmentor
from .metadata import describe
from .parity import (
    LARGEST_DIFFERENCE,
    Parity,
    ParityError,
    measure_parity,
    parity_table,
    require_parity,
)

__all__ = [
    "FORMATS",
    "LARGEST_DIFFERENCE",
    "RESULTS",
    "Export",
    "ExportedSegmentor",
    "Parity",
    "ParityError",
    "SegmentorGraph",
    "describe",
    "export_segmentor",
    "load_segmentor",
    "measure_parity",
    "parity_table",
    "publish",
    "require_formats",
    "require_parity",
    "trace",
]

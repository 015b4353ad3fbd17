"""Pictures of what the models see and predict."""

from ..data import read_image, to_rgb
from .clips import Camera, MediaError, VideoFile
from .event_images import put_restyling
from .frame_sinks import PngFiles, VideoWriter, sinks_for
from .frame_sources import find_sources
from .label_overlays import write_label_overlays
from .overlay_writer import OverlayWriter
from .palettes import PALETTES, Palette, palette_named, palettes_for
from .panels import VIEWS, draw_panels, draw_view
from .prediction import Prediction
from .predictor import PRECISIONS, Predictor, predict_frames
from .predictor_options import (
    load_predictors,
    model_names,
    parse_with_predictors,
    predictors_of,
)
from .report import write_report, write_report_of_run
from .sem_seg import draw_sem_seg, legend, side_by_side, title_strip
from .window import Window

__all__ = [
    "PALETTES",
    "PRECISIONS",
    "VIEWS",
    "Camera",
    "MediaError",
    "OverlayWriter",
    "Palette",
    "PngFiles",
    "Prediction",
    "Predictor",
    "VideoFile",
    "VideoWriter",
    "Window",
    "draw_panels",
    "draw_sem_seg",
    "draw_view",
    "find_sources",
    "legend",
    "load_predictors",
    "model_names",
    "palette_named",
    "palettes_for",
    "parse_with_predictors",
    "predict_frames",
    "predictors_of",
    "put_restyling",
    "read_image",
    "side_by_side",
    "sinks_for",
    "title_strip",
    "to_rgb",
    "write_label_overlays",
    "write_report",
    "write_report_of_run",
]

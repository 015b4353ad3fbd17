"""Predictions, pictures, videos and reports."""

from ..data import read_image, to_rgb
from ..utils.arguments import PALETTES, PRECISIONS, VIEWS, parse_with_predictors
from .event_images import put_restyling
from .overlay_writer import OverlayWriter
from .palettes import Palette, palette_named, palettes_for
from .prediction import Prediction, draw_panels, draw_view
from .predictor import Predictor, model_names, predict_frames, predictors_of
from .report import write_report, write_report_of_run
from .sem_seg import draw_sem_seg, legend, side_by_side, title_strip, write_label_overlays
from .streams import Camera, PngFiles, Window, find_sources, sinks_for, write_sources
from .video import Frame, MediaError, VideoFile, VideoWriter, is_video

__all__ = [
    "PALETTES",
    "PRECISIONS",
    "VIEWS",
    "Camera",
    "Frame",
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
    "is_video",
    "legend",
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
    "write_sources",
]

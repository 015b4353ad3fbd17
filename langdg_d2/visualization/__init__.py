"""Pictures of what the models see and predict."""

from .label_overlays import write_label_overlays
from .sem_seg import OverlayWriter, draw_sem_seg, legend, side_by_side, title_strip

__all__ = [
    "OverlayWriter",
    "draw_sem_seg",
    "legend",
    "side_by_side",
    "title_strip",
    "write_label_overlays",
]

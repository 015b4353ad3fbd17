"""A page in a browser: predictions of images and clips, and styles mined while one waits.

Everything but `page` and `server` works without Gradio.
"""

from .actions import Actions, ShownPrediction, ShownStyles
from .live_styles import LiveStyles, Restyled
from .tally import ClassTally
from .uploads import Limits, Upload

__all__ = [
    "Actions",
    "ClassTally",
    "Limits",
    "LiveStyles",
    "Restyled",
    "ShownPrediction",
    "ShownStyles",
    "Upload",
]

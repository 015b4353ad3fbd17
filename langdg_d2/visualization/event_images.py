"""Images for TensorBoard, written to Detectron2's event storage."""

import logging

import numpy as np
from detectron2.utils import comm
from detectron2.utils.events import get_event_storage, has_event_storage
from matplotlib.backends.backend_agg import FigureCanvasAgg

from ..styles.mixing import Restyling
from .figures import restyling_figure
from .palettes import Palette
from .sem_seg import Image


def put_picture(name: str, picture: Image) -> None:
    """Log an image (H, W, 3) uint8 RGB under a name; does nothing outside of training.

    Call it only in the main process, because others have no writer that empties their storage.
    """
    if has_event_storage():
        get_event_storage().put_image(name, picture.transpose(2, 0, 1))


def put_restyling(restyling: Restyling | None, palette: Palette) -> None:
    """Plot how far the patches of a batch were restyled; None plots nothing.

    Only the main process draws. Errors are logged, because a plot must not end training.
    """
    if restyling is None or not comm.is_main_process():
        return
    names = dict(enumerate(palette.names))
    classes = [names.get(k, "unlabelled") for k in restyling.patch_classes.flatten().tolist()]
    colors = {
        name: tuple(part / 255 for part in color)
        for name, color in zip(palette.names, palette.colors, strict=True)
    }
    try:
        canvas = FigureCanvasAgg(restyling_figure(restyling.own, restyling.mixed, classes, colors))
        canvas.draw()
    except Exception:  # matplotlib raises errors of many types
        logging.getLogger(__name__).exception("Cannot plot how patches were restyled")
    else:
        put_picture("style/patches", np.asarray(canvas.buffer_rgba())[..., :3])

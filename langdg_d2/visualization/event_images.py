"""Pictures for TensorBoard, through Detectron2's event storage."""

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
    """Show (H, W, 3) uint8 RGB under a name; does nothing outside of training.

    For the main process: others have no writer that would empty their storage.
    """
    if has_event_storage():
        get_event_storage().put_image(name, picture.transpose(2, 0, 1))


def put_restyling(restyling: Restyling | None, palette: Palette) -> None:
    """Show how far the patches of a batch were restyled; None, before the first, shows nothing.

    Only the main process draws. Errors are logged, not raised: a plot must not end a training.
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
    except Exception:  # matplotlib raises errors of any kind
        logging.getLogger(__name__).exception("Cannot draw how patches were restyled")
    else:
        put_picture("style/patches", np.asarray(canvas.buffer_rgba())[..., :3])

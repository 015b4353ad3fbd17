"""Pictures for TensorBoard, in Detectron2's event storage; its writer fetches them."""

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
    """Show (H, W, 3) uint8 RGB under a name; outside of training nothing happens.

    For the main process, as no other has a writer that would fetch it.
    """
    if has_event_storage():
        get_event_storage().put_image(name, picture.transpose(2, 0, 1))


def put_restyling(restyling: Restyling | None, palette: Palette) -> None:
    """Show how far the patches of a batch were restyled; nothing if there is no batch yet.

    Every process may call this. An error is logged, not raised: it must not end a training.

    Args:
        restyling: of the main process.
        palette: names and colours of the classes.
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
    except Exception:  # of matplotlib, of any kind
        logging.getLogger(__name__).exception("Cannot draw how patches were restyled")
    else:
        put_picture("style/patches", np.asarray(canvas.buffer_rgba())[..., :3])

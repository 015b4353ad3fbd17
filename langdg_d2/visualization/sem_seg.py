"""Pictures of semantic segmentation: overlays, panels side by side, and a writer for evaluation."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from detectron2.data import MetadataCatalog
from detectron2.evaluation import DatasetEvaluator
from detectron2.utils.file_io import PathManager
from detectron2.utils.visualizer import Visualizer

from ..evaluation import predicted_classes
from ..structures.files import write_atomically

Image = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.integer[Any]]

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_STRIP_SHARE = 24  # a text strip is this fraction of a panel's height, ...
_STRIP_MINIMUM = 20  # ... but never too low to be read, in pixels
_BACKGROUND, _INK = 255, 0


def draw_sem_seg(image: Image, label: Labels, metadata: Any, alpha: float = 0.6) -> Image:
    """Lay the colours of the classes over an image.

    Args:
        image: (H, W, 3) uint8 RGB.
        label: (H, W) integers; whatever is not a class (the ignore label) is left undrawn.
        metadata: Detectron2 metadata with `stuff_classes` and `stuff_colors` (RGB in 0..255).
        alpha: opacity in 0..1.

    Returns:
        (H, W, 3) uint8 RGB, a new array, equal to `image` where nothing is drawn.

    Raises:
        ValueError: if the label map is not of the image's size.
    """
    if image.shape[:2] != label.shape:
        raise ValueError(
            f"cannot draw labels {label.shape} on an image {image.shape}; resize one of them"
        )
    num_classes = len(metadata.stuff_classes)
    undrawn = (label < 0) | (label >= num_classes)
    # Detectron2 skips labels from num_classes on, but would take -1 for the last class.
    drawable = np.where(undrawn, num_classes, label)
    # No edge colour means the class' own: white outlines would hide poles and distant people.
    drawn = Visualizer(image, metadata).draw_sem_seg(
        drawable, alpha=alpha, draw_text=False, edge_color=None
    )
    # Outlines reach over the border of their region.
    return np.where(undrawn[..., None], image, drawn.get_image())


def title_strip(text: str, *, width: int, height: int) -> Image:
    """(height, width, 3) uint8 strip with `text` at its left; what does not fit is cut off."""
    strip = np.full((height, width, 3), _BACKGROUND, dtype=np.uint8)
    _put_text(strip, text, left=height // 4)
    return strip


def legend(classes: Iterable[int], metadata: Any, *, width: int, row_height: int) -> Image:
    """Colour and name of classes, in as many rows as their names need.

    Args:
        classes: class ids, drawn in this order; others than 0..K-1 are left out.
        metadata: as for `draw_sem_seg`.
        width: of the strip, in pixels; a name wider than that is cut off.
        row_height: in pixels.

    Returns:
        (rows * row_height, width, 3) uint8 RGB; no rows without classes.
    """
    rows: list[Image] = []
    left = width
    for k in (k for k in classes if 0 <= k < len(metadata.stuff_classes)):
        name = metadata.stuff_classes[k]
        entry_width = 2 * row_height + _text_width(name, row_height)
        if left + entry_width > width:
            rows.append(np.full((row_height, width, 3), _BACKGROUND, dtype=np.uint8))
            left = 0
        margin = row_height // 4
        rows[-1][margin:-margin, left + margin : left + row_height] = metadata.stuff_colors[k]
        _put_text(rows[-1], name, left=left + row_height + margin)
        left += entry_width
    return np.concatenate(rows) if rows else np.empty((0, width, 3), dtype=np.uint8)


def side_by_side(panels: Mapping[str, Image]) -> Image:
    """Titled panels from left to right, a narrow gap between them.

    Args:
        panels: title to (H, W, 3) uint8 image, all of one size.

    Returns:
        uint8 image: a title strip above the panels.

    Raises:
        ValueError: if sizes differ, or there is no panel.
    """
    shapes = {title: image.shape for title, image in panels.items()}
    if len(set(shapes.values())) != 1:
        raise ValueError(f"panels must be of one size, got {shapes}; resize them first")
    height, width, _ = next(iter(shapes.values()))
    strip = _strip_height(height)
    gap = np.full((strip + height, strip // 4, 3), _BACKGROUND, dtype=np.uint8)
    columns: list[Image] = []
    for title, image in panels.items():
        columns += [gap, np.concatenate([title_strip(title, width=width, height=strip), image])]
    return np.concatenate(columns[1:], axis=1)


def write_png(path: Path, picture: Image) -> None:
    """Write a picture, whole or not at all.

    Raises:
        OSError: if it cannot be written.
        ValueError: if it cannot be encoded.
    """
    encoded, png = cv2.imencode(".png", picture[..., ::-1])  # OpenCV writes BGR
    if not encoded:
        raise ValueError(f"OpenCV cannot encode a picture {picture.shape} as {path}")
    write_atomically(path, png.tobytes())


class OverlayWriter(DatasetEvaluator):
    """Saves image, ground truth and prediction side by side while a model is evaluated."""

    def __init__(
        self, *, output_dir: str, dataset_name: str, max_images: int, alpha: float = 0.6
    ) -> None:
        """
        Args:
            output_dir: folder of the PNG files, created when the first is written.
            dataset_name: whose metadata gives names and colours; begins the file names.
            max_images: how many of the first images of each process are saved.
            alpha: opacity of the overlays in 0..1.
        """
        self._output_dir = output_dir
        self._dataset_name = dataset_name
        self._max_images = max_images
        self._alpha = alpha
        self.reset()

    def reset(self) -> None:
        """Count images from zero; files of an earlier round are replaced, not removed."""
        self._saved = 0

    def process(
        self, inputs: Iterable[Mapping[str, Any]], outputs: Iterable[Mapping[str, Any]]
    ) -> None:
        """Save `<dataset>_<image>.png` for each image until `max_images` is reached.

        Args:
            inputs: one dict per image: "image" (3, h, w) uint8 RGB, "file_name" and, if there is
                ground truth, "sem_seg" (H, W).
            outputs: one dict per image: "sem_seg" logits (K, H, W) or classes (H, W). The image
                is resized to them.
        """
        for image, output in zip(inputs, outputs, strict=True):
            if self._saved == self._max_images:
                return
            self._save(self._picture(image, output), str(image["file_name"]))
            self._saved += 1

    def evaluate(self) -> dict[str, dict[str, float]]:
        """No scores: an empty dict."""
        return {}

    def _picture(self, image: Mapping[str, Any], output: Mapping[str, Any]) -> Image:
        metadata = MetadataCatalog.get(self._dataset_name)
        prediction = predicted_classes(output["sem_seg"]).cpu().numpy()
        rgb = image["image"].permute(1, 2, 0).cpu().numpy()  # (h, w, 3)
        rgb = cv2.resize(rgb, prediction.shape[::-1], interpolation=cv2.INTER_LINEAR)
        labels = {"prediction": prediction}
        if "sem_seg" in image:
            labels = {"ground truth": image["sem_seg"].cpu().numpy()} | labels
        panels = {title: draw_sem_seg(rgb, k, metadata, self._alpha) for title, k in labels.items()}
        picture = side_by_side({Path(image["file_name"]).stem: rgb} | panels)
        present = np.unique(np.concatenate([np.unique(k) for k in labels.values()])).tolist()
        names = legend(
            present, metadata, width=picture.shape[1], row_height=_strip_height(len(rgb))
        )
        return np.concatenate([picture, names])

    def _save(self, picture: Image, file_name: str) -> None:
        name = re.sub(r"[^\w.-]+", "_", f"{self._dataset_name}_{Path(file_name).stem}") + ".png"
        PathManager.mkdirs(self._output_dir)
        write_png(Path(PathManager.get_local_path(self._output_dir)) / name, picture)


def _strip_height(panel_height: int) -> int:
    return max(_STRIP_MINIMUM, panel_height // _STRIP_SHARE)


def _font(height: int) -> tuple[float, int]:
    """Scale and thickness of text for a strip of this height."""
    thickness = max(1, height // 20)
    return cv2.getFontScaleFromHeight(_FONT, height // 2, thickness), thickness


def _text_width(text: str, height: int) -> int:
    (width, _), _ = cv2.getTextSize(text, _FONT, *_font(height))
    return width


def _put_text(strip: Image, text: str, *, left: int) -> None:
    """Write `text` into a strip of one row, in place."""
    height = len(strip)
    scale, thickness = _font(height)
    ink = (_INK, _INK, _INK)
    cv2.putText(strip, text, (left, 3 * height // 4), _FONT, scale, ink, thickness, cv2.LINE_AA)

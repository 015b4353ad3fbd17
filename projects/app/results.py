"""Results on the page for predictions and mined styles: facts, pictures and tables."""

import gc
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from live_styles import LiveStyles
from markupsafe import Markup, escape
from uploads import Image, Upload

from langdg_d2.styles import StyleBank
from langdg_d2.visualization import (
    Palette,
    Prediction,
    Predictor,
    VideoWriter,
    draw_panels,
    draw_view,
    palette_named,
)
from langdg_d2.visualization.page import parts

VIEWS = ("overlay", "confidence")
MOST_CLASSES = 256  # in an 8-bit class map
UNCHANGED = 0.35  # brightness of pixels whose class is unchanged


class ClassSummary:
    """Pixel counts and confidence of each class over one or several predictions."""

    def __init__(self, *predictions: Prediction) -> None:
        self._pixels, self._confidence = np.zeros((2, MOST_CLASSES))
        for prediction in predictions:
            self.add(prediction)

    def add(self, prediction: Prediction) -> None:
        """Count the pixels of a prediction."""
        classes, confidence = prediction.classes.ravel(), prediction.confidence.ravel()
        self._pixels += np.bincount(classes, minlength=MOST_CLASSES)
        self._confidence += np.bincount(classes, confidence, MOST_CLASSES)

    @property
    def mean_confidence(self) -> float:
        """Mean over all pixels, in 0..1."""
        return float(self._confidence.sum() / self._pixels.sum())

    def legend(self, palette: Palette) -> Markup:
        """Format a table of the predicted classes, with the most frequent one first."""
        seen = np.argsort(-self._pixels, kind="stable")[: np.count_nonzero(self._pixels)]
        frame = pd.DataFrame(
            {
                "class": [parts.swatch(palette.colors[k]) + escape(palette.names[k]) for k in seen],
                "pixels": [percent(share) for share in self._pixels[seen] / self._pixels.sum()],
                "confidence": (self._confidence[seen] / self._pixels[seen]).tolist(),
            },
            dtype=object,  # pandas would turn the markup into plain text
        )
        return parts.table(frame)


def predict_upload(
    upload: Upload, predictor: Predictor, palette: Palette
) -> Iterator[int | dict[str, Any]]:
    """Predict an image or a clip.

    Yields:
        The number of frames so far after each frame of a clip. Finally, a dict with the markup
        "facts" and "legend", and either the pictures "overlay" and "confidence" of an image, or
        "video", the path of a file that is deleted when the iterator is advanced or closed.
    """
    start, summary = time.perf_counter(), ClassSummary()
    if upload.video is None:
        prediction = predictor(upload.first_image())
        summary.add(prediction)
        height, width = prediction.classes.shape
        yield {
            "facts": _facts(
                f"{width} x {height} pixels", f"{summary.mean_confidence:.2f}", start, upload
            ),
            "legend": summary.legend(palette),
            **{view: draw_view(prediction, view, palette) for view in VIEWS},
        }
        return
    with TemporaryDirectory() as folder:
        path, count = Path(folder) / "prediction.webm", 0
        with VideoWriter(path=path, rate=upload.video.rate) as writer:
            for count, frame in enumerate(upload, start=1):
                prediction = predictor(frame.image)
                summary.add(prediction)
                # A legend of the classes would change the size from frame to frame.
                panels = draw_panels({"": prediction}, views=VIEWS, palette=palette, classes=())
                writer.write(panels, frame)
                gc.collect()  # matplotlib's figures have reference cycles and would accumulate
                yield count
        facts = _facts(f"{count} frames", f"{summary.mean_confidence:.2f}", start, upload)
        yield {"facts": facts, "legend": summary.legend(palette), "video": str(path)}


def compare_upload(
    upload: Upload, predictors: Mapping[str, Predictor], palette: str
) -> list[tuple[Image, str]]:
    """Predict an image, or a clip's first frame, with several models.

    Args:
        upload: image or clip.
        predictors: predictors by name.
        palette: name of the palette.

    Returns:
        The image and the predictions, with captions.
    """
    image = upload.first_image()
    pictures = [(image, "input")]
    for name, predictor in predictors.items():
        prediction = predictor(image)
        overlay = draw_view(prediction, "overlay", palette_named(palette, predictor.classes))
        confidence = ClassSummary(prediction).mean_confidence
        pictures.append((overlay, f"{name}, mean confidence {confidence:.2f}"))
    return pictures


def restyle_upload(
    upload: Upload, predictor: Predictor, palette: Palette, styles: LiveStyles, **settings: Any
) -> list[Any]:
    """Mine a style on an image, or on a clip's first frame, and predict the image in it.

    Args:
        upload: image or clip.
        predictor: predictor with the model.
        palette: colours of classes.
        styles: mines the style.
        settings: arguments of `LiveStyles`.

    Returns:
        Facts, pictures before and after, a picture of the changes, and tables.
    """
    start = time.perf_counter()
    before, after, bank = styles(upload.first_image(), predictor.model, **settings)
    changed = percent(np.mean(before.classes != after.classes))
    summary = ClassSummary(after)
    confidence = f"{ClassSummary(before).mean_confidence:.2f} before, {summary.mean_confidence:.2f}"
    return [
        _facts(f"{changed} of the pixels change class", f"{confidence} after", start, upload),
        draw_view(before, "overlay", palette),
        draw_view(after, "overlay", palette),
        draw_difference(before, after, palette),
        style_table(bank) + summary.legend(palette),
    ]


def style_table(bank: StyleBank) -> Markup:
    """Format the text of each class's patch, and its cosine before and after mining."""
    names = [bank.header.class_names[k] for k in bank.class_id.tolist()]
    frame = pd.DataFrame(
        {
            "patch of": names,
            "text": bank.prompts,
            "cosine before": bank.cosine_before.tolist(),
            "cosine after": bank.cosine_after.tolist(),
        }
    )
    return parts.table(frame, digits=3)


def draw_difference(before: Prediction, after: Prediction, palette: Palette) -> Image:
    """Draw pixels whose class changed in the new colour, others in dark grey, (H, W, 3) uint8."""
    grey = (before.image.mean(axis=2, keepdims=True) * UNCHANGED).astype(np.uint8)
    changed = (before.classes != after.classes)[..., None]
    return np.where(changed, palette.paint_classes(after.classes), grey)


def percent(share: float) -> str:
    """Format a share in percent with one decimal; small positive shares are "< 0.1 %"."""
    return "< 0.1 %" if 0 < share < 0.0005 else f"{100 * share:.1f} %"


def _facts(subject: str, confidence: str, start: float, upload: Upload) -> Markup:
    seconds = f"{time.perf_counter() - start:.1f} s"
    texts = " · ".join([subject, f"mean confidence {confidence}", seconds, *upload.remarks])
    return Markup("<p class='facts' role='status'>{}</p>").format(texts)

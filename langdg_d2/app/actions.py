"""What the page's buttons do: every error becomes a message, so that the page goes on."""

import logging
import re
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path, PureWindowsPath
from typing import NamedTuple

from markupsafe import Markup

from ..utils.errors import LangDGError
from ..visualization import (
    Palette,
    Predictor,
    VideoWriter,
    draw_panels,
    draw_view,
    palette_named,
)
from . import parts
from .live_styles import LiveStyles, Restyled
from .tally import ClassTally
from .uploads import Image, Limits, Upload

Report = Callable[[float, str], object]  # share that is done, in 0..1, and of what

_EXPECTED = (LangDGError, ValueError)
_LONGEST_MESSAGE = 600  # characters
_PATHS = re.compile(
    r"(?<=')(?:[A-Z]:)?[/\\][^'\n]*(?=')"  # whole inside quotation marks
    r"|(?<![\w.:/<])/(?:[^\s/'\",;:]+/)+[^\s'\",;:]*"  # elsewhere up to a space or a mark
)
_CLIP_VIEWS = ("overlay", "confidence")

_logger = logging.getLogger(__name__)


class ShownPrediction(NamedTuple):
    """What the first tab shows; an image or a video, neither after an error."""

    message: Markup
    overlay: Image | None = None
    confidence: Image | None = None
    video: str | None = None
    legend: Markup = parts.NOTHING


class ShownStyles(NamedTuple):
    """What the second tab shows; no picture after an error."""

    message: Markup
    before: Image | None = None
    after: Image | None = None
    difference: Image | None = None
    styles: Markup = parts.NOTHING


class Actions:
    """The functions behind the page, to be closed at its end.

    One thread does all work on models and clips: what torch and FFmpeg keep for each thread exists
    once, and `close` can wait for it.

    Args:
        predictors: by the names of their checkpoints.
        limits: of what users bring.
        styles: mines styles; or why that cannot be done, in words.
    """

    def __init__(
        self,
        *,
        predictors: Mapping[str, Predictor],
        limits: Limits,
        styles: LiveStyles | str,
    ) -> None:
        self.predictors = predictors
        self.limits = limits
        self.styles = styles
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="page")

    def close(self) -> None:
        """Wait for the image or frame that is being worked on; nothing can be done afterwards."""
        self._worker.shutdown(cancel_futures=True)

    def predict(
        self, file: str | None, model: str, palette: str, report: Report | None = None
    ) -> Iterator[ShownPrediction | None]:
        """Predict an image or a clip. A clip ends where this iterator is closed.

        Args:
            file: what the user brought; None before that.
            model: name of a predictor.
            palette: name of a palette.
            report: called with the progress through a clip.

        Yields:
            None after each frame of a clip. At last pictures of an image; of a clip a WebM video in
            the folder for temporary files.
        """
        if file is None:
            yield ShownPrediction(parts.NOTHING)
            return
        steps = self._prediction(Path(file), model, palette, report)
        try:
            shown = None
            while shown is None:
                shown = self._worker.submit(next, steps).result()
                yield shown
        except Exception as error:  # of any kind that files cause in libraries: the page goes on
            yield ShownPrediction(parts.problem(_explained(error, file)))
        finally:
            steps.close()

    def _prediction(
        self, file: Path, model: str, palette: str, report: Report | None
    ) -> Generator[ShownPrediction | None, None, None]:
        upload = Upload(path=file, limits=self.limits)
        predictor = self.predictors[model]
        colors = palette_named(palette, predictor.classes)
        if upload.is_clip:
            yield from _predict_clip(upload, predictor, colors, report)
        else:
            yield _predict_image(upload, predictor, colors)

    def restyle(
        self,
        file: str | None,
        model: str,
        palette: str,
        prompt: str,
        steps: int,
        own_share: float,
        name_classes: bool,
    ) -> ShownStyles:
        """Mine a style on an image, or on a clip's first frame, and predict in it.

        Args:
            file: as for `predict`, as the following two.
            model: likewise.
            palette: likewise.
            prompt: as for `LiveStyles`, as the following.
            steps: likewise.
            own_share: likewise.
            name_classes: likewise.
        """
        try:
            if isinstance(self.styles, str):
                raise LangDGError(self.styles)
            if file is None:
                raise LangDGError("there is no image yet; drop one into the field at the left")
            start = time.perf_counter()
            upload = Upload(path=Path(file), limits=self.limits)
            predictor = self.predictors[model]
            result = self._worker.submit(
                self.styles,
                upload.first(),
                predictor.model,
                prompt=prompt,
                steps=int(steps),
                own_share=own_share,
                name_classes=name_classes,
            ).result()
            colors = palette_named(palette, predictor.classes)
            return _show_styles(result, colors, _finished(start, upload))
        except Exception as error:
            return ShownStyles(parts.problem(_explained(error, file)))


def _show_styles(result: Restyled, palette: Palette, remarks: list[str]) -> ShownStyles:
    before, after = (ClassTally.of(part) for part in (result.before, result.after))
    changed = f"{parts.percent(result.changed)} of the pixels get another class"
    confidence = f"{_confidence(before)} before, {after.mean_confidence:.2f} after"
    return ShownStyles(
        message=parts.note(changed, confidence, *remarks),
        before=draw_view(result.before, "overlay", palette),
        after=draw_view(result.after, "overlay", palette),
        difference=parts.draw_difference(result.before, result.after, palette),
        styles=Markup(parts.style_table(result.bank, palette) + parts.legend(after, palette)),
    )


def _predict_image(upload: Upload, predictor: Predictor, palette: Palette) -> ShownPrediction:
    start = time.perf_counter()
    prediction = predictor(upload.first())
    tally = ClassTally.of(prediction)
    height, width = prediction.classes.shape
    size = f"{width} x {height} pixels"
    return ShownPrediction(
        message=parts.note(size, _confidence(tally), *_finished(start, upload)),
        overlay=draw_view(prediction, "overlay", palette),
        confidence=draw_view(prediction, "confidence", palette),
        legend=_legend(tally, palette),
    )


def _predict_clip(
    upload: Upload, predictor: Predictor, palette: Palette, report: Report | None
) -> Iterator[ShownPrediction | None]:
    start = time.perf_counter()
    tally, frames = ClassTally(), 0
    # A folder, for a video appears under its name only when it is complete.
    path = Path(tempfile.mkdtemp()) / "prediction.webm"
    with VideoWriter(path=path, rate=upload.rate) as writer, closing(upload.frames()) as clip:
        for frames, frame in enumerate(clip, start=1):
            prediction = predictor(frame.image)
            tally.add(prediction)
            panels = draw_panels({"": prediction}, views=_CLIP_VIEWS, palette=palette, classes=())
            writer.write(panels, frame)
            if report is not None:
                report(min(1.0, frames / upload.count), f"frame {frames} of {upload.count}")
            yield None
    yield ShownPrediction(
        message=parts.note(f"{frames} frames", _confidence(tally), *_finished(start, upload)),
        video=str(path),
        legend=_legend(tally, palette),
    )


def _legend(tally: ClassTally, palette: Palette) -> Markup:
    return Markup(parts.confidence_scale(palette) + parts.legend(tally, palette))


def _confidence(tally: ClassTally) -> str:
    return f"mean confidence {tally.mean_confidence:.2f}"


def _finished(start: float, upload: Upload) -> list[str]:
    return [f"{time.perf_counter() - start:.1f} s", *upload.remarks]


def _explained(error: Exception, file: str | None) -> str:
    text = str(error)
    if isinstance(error, _EXPECTED):
        _logger.warning("the page shows of '%s': %s", file, text)
    else:
        _logger.error("the page shows an error of '%s'", file, exc_info=error)
        text = f"{type(error).__name__}: {text}"
    # Where files lie on this machine concerns nobody.
    if file is not None:
        text = text.replace(file, Path(file).name)
    return _PATHS.sub(lambda path: PureWindowsPath(path[0]).name, text)[:_LONGEST_MESSAGE]

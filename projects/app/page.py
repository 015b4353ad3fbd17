"""The Gradio page: fields, tabs, events and error messages."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from live_styles import LiveStyles
from markupsafe import escape
from results import compare_upload, predict_upload, restyle_upload
from uploads import Limits, Upload

from langdg_d2.utils.errors import LangDGError
from langdg_d2.visualization import Palette, Predictor, palette_named, palettes_for

TITLE = "Language-guided segmentation"
LEAD = (
    "Drop a street scene to see what a model predicts. Describe a style to see how the prediction "
    "changes when the features are restyled."
)
PALETTE_LABELS = {"classes": "of the classes", "colorblind": "colour-blind safe"}
ONE_AT_A_TIME = {"concurrency_limit": 1, "concurrency_id": "model", "api_visibility": "private"}
FIELDS = 5  # per tab
STYLE_SETTINGS = ("prompt", "steps", "own_share", "name_classes")
NO_FILE = "there is no image yet; drop one into the field on the left"
PROGRESS = gr.Progress()  # Gradio detects it as the default of an argument

logger = logging.getLogger(__name__)


class Handlers:
    """Event handlers of the page.

    A single thread runs all models and clips, because Gradio's threads change from frame to frame,
    and PyTorch and FFmpeg keep memory for each thread.

    Args:
        predictors: predictors by name of their checkpoint.
        styles: mines styles; None if CLIP's weights are missing.
        limits: limits of uploads.
    """

    def __init__(
        self, *, predictors: Mapping[str, Predictor], styles: LiveStyles | None, limits: Limits
    ) -> None:
        self.predictors = predictors
        self.styles = styles
        self.limits = limits
        self._worker = ThreadPoolExecutor(max_workers=1)
        self._changes: Counter[str | None] = Counter()  # by session

    def close(self) -> None:
        """Wait for the current image or frame, and stop the thread."""
        self._worker.shutdown(cancel_futures=True)

    def change(self, request: gr.Request) -> list[None]:
        """Stop a client's clip and clear its pictures after a change of the shared inputs."""
        self._changes[request.session_hash] += 1
        return [None] * (FIELDS + 1)  # for the tabs Restyle and Compare

    async def predict(
        self,
        file: str | None,
        model: str,
        palette: str,
        request: gr.Request,
        progress: gr.Progress = PROGRESS,
    ) -> AsyncIterator[list[Any]]:
        """Predict an image or a clip, and show it. Gradio closes this when the client leaves."""
        if file is None:
            yield [None] * FIELDS
            return
        changes = self._changes[request.session_hash]
        with errors_as_messages(file):
            upload = await self._do(Upload, Path(file), self.limits)
            steps = predict_upload(upload, *self._model(model, palette))
            try:
                while (step := await self._do(next, steps, None)) is not None:
                    if self._changes[request.session_hash] != changes:
                        return
                    if isinstance(step, int):
                        progress((step, upload.count), unit="frames")
                        yield [gr.skip()] * FIELDS  # allows Gradio to close this
                        continue
                    video = step.get("video")
                    yield [
                        step["facts"],
                        gr.Image(step.get("overlay"), visible=not video),
                        gr.Image(step.get("confidence"), visible=not video),
                        gr.Video(video, visible=bool(video)),
                        step["legend"],
                    ]
            finally:
                await self._do(steps.close)

    async def restyle(
        self, file: str | None, model: str, palette: str, *settings: Any
    ) -> list[Any]:
        """Mine a style on an image, or on a clip's first frame, and show its effect."""
        with errors_as_messages(file):
            if self.styles is None:
                raise LangDGError("styles cannot be mined: CLIP's weights could not be loaded")
            if file is None:
                raise LangDGError(NO_FILE)
            upload = await self._do(Upload, Path(file), self.limits)
            options = dict(zip(STYLE_SETTINGS, settings, strict=True))
            return await self._do(
                restyle_upload, upload, *self._model(model, palette), self.styles, **options
            )

    async def compare(self, file: str | None, palette: str) -> list[Any]:
        """Show the predictions of all checkpoints for an image, or for a clip's first frame."""
        with errors_as_messages(file):
            if file is None:
                raise LangDGError(NO_FILE)
            upload = await self._do(Upload, Path(file), self.limits)
            return await self._do(compare_upload, upload, self.predictors, palette)

    def first_choice(self) -> str:
        """Return the name of the first checkpoint that can be restyled, or else of the first."""
        models = self.predictors.items()
        fit = (
            name for name, predictor in models if self.styles and self.styles.fits(predictor.model)
        )
        return next(fit, next(iter(self.predictors)))

    def _model(self, name: str, palette: str) -> tuple[Predictor, Palette]:
        predictor = self.predictors[name]
        return predictor, palette_named(palette, predictor.classes)

    def _do(self, function: Callable[..., Any], *args: Any, **options: Any) -> asyncio.Future[Any]:
        """Call a function in the worker thread."""
        return asyncio.wrap_future(self._worker.submit(function, *args, **options))


@contextmanager
def errors_as_messages(file: str | None) -> Iterator[None]:
    """Show errors as messages on the page. Folders are only named in the log."""
    try:
        yield
    except LangDGError as error:
        logger.warning("%s", error)
        text = str(error)
    except Exception as error:  # files cause errors of many types in libraries
        logger.exception("'%s' cannot be used", file)
        text = f"'{file}' cannot be used ({type(error).__name__}); see the log for the reason"
    else:
        return
    if file is not None:
        text = text.replace(file, Path(file).name)
    raise gr.Error(escape(text), duration=30, print_exception=False)


def build_page(
    handlers: Handlers, *, palette: str = "classes", examples: Sequence[str] = ()
) -> gr.Blocks:
    """Build the page.

    Args:
        handlers: event handlers.
        palette: name of the initial palette.
        examples: images and clips to offer.
    """
    picture = partial(gr.Image, format="png", interactive=False, buttons=["download", "fullscreen"])
    text = partial(gr.HTML, padding=False)
    # Every ten minutes, files older than an hour are deleted.
    with gr.Blocks(
        title=TITLE, analytics_enabled=False, delete_cache=(600, 3600), fill_width=True
    ) as page:
        gr.HTML(f"<h1>{TITLE}</h1><p>{LEAD}</p>", padding=False)
        with gr.Row():
            with gr.Column(scale=1, min_width=280):
                inputs = _inputs(handlers, palette, examples)
            with gr.Column(scale=4), gr.Tabs():
                with gr.Tab("Predict"):
                    facts = text(elem_id="facts")
                    with gr.Row():
                        overlay = picture(label="Predicted classes", elem_id="overlay")
                        confidence = picture(
                            label="Confidence, dark: 0, bright: 1", elem_id="confidence"
                        )
                    video = gr.Video(visible=False, elem_id="video", label="Classes and confidence")
                    predicted = [facts, overlay, confidence, video, text(elem_id="legend")]
                with gr.Tab("Compare", visible=len(handlers.predictors) > 1):
                    compare = gr.Button("Predict with every checkpoint", elem_id="compare")
                    pictures = gr.Gallery(
                        label="Predicted classes",
                        columns=[1, 2, 3],
                        object_fit="contain",
                        format="png",
                        interactive=False,
                        elem_id="pictures",
                    )
                with gr.Tab("Restyle"):
                    button, settings = _style_settings()
                    facts = text(elem_id="style-facts")
                    with gr.Row():
                        before = picture(label="Before", elem_id="before")
                        after = picture(label="After", elem_id="after")
                        difference = picture(label="Changed", elem_id="difference")
                    restyled = [facts, before, after, difference, text(elem_id="styles")]
        started = [button.click, settings[0].submit]
        mining = gr.on(
            started,
            handlers.restyle,
            [*inputs, *settings],
            restyled,
            show_progress_on=[before, after, difference],
            **ONE_AT_A_TIME,
        )
        compare.click(handlers.compare, [inputs[0], inputs[2]], pictures, **ONE_AT_A_TIME)
        # Results belong to a file, checkpoint and palette; changing one of these clears them.
        changed = gr.on(
            [field.change for field in inputs],
            handlers.change,
            None,
            [*restyled, pictures],
            queue=False,
            cancels=[mining],
            api_visibility="private",
        )
        changed.then(
            handlers.predict,
            inputs,
            predicted,
            trigger_mode="always_last",
            show_progress_on=[overlay, confidence, video],
            **ONE_AT_A_TIME,
        )
    return page.queue(max_size=16, api_open=False)


def _inputs(handlers: Handlers, palette: str, examples: Sequence[str]) -> list[Any]:
    """Build the shared inputs: file, checkpoint and colours."""
    models, limits, first = list(handlers.predictors), handlers.limits, handlers.first_choice()
    palettes = palettes_for(handlers.predictors[first].classes)
    choices = [(PALETTE_LABELS[name], name) for name in palettes]
    inputs = [
        gr.File(label="Image or clip", height=150, elem_id="file"),
        gr.Radio(models, value=first, label="Checkpoint"),
        gr.Radio(choices, value=palette, label="Colours"),
    ]
    if examples:
        gr.Examples([[path] for path in examples], inputs[0], elem_id="examples")
    gr.HTML(
        f"<p>Up to {limits.megabytes} MB. Images are scaled down to {limits.longest_side} pixels, "
        f"and clips end after {limits.frames} frames. Files stay on the computer that runs this "
        "page and are deleted when it stops.</p>",
        elem_id="limits",
    )
    return inputs


def _style_settings() -> tuple[gr.Button, list[Any]]:
    """Build the button and the fields of `STYLE_SETTINGS`."""
    with gr.Row():
        prompt = gr.Textbox(
            label="Style",
            placeholder="foggy night",
            max_length=120,
            max_lines=1,
            scale=4,
            elem_id="prompt",
        )
        button = gr.Button("Mine and restyle", variant="primary", elem_id="mine", min_width=160)
    with gr.Row():
        steps = gr.Slider(0, 200, 20, step=1, label="Mining steps")
        own_share = gr.Slider(0, 1, 0, step=0.05, label="Own style kept")
        name_classes = gr.Checkbox(
            True, label="With class names", info="as in the recipe: “foggy night road”"
        )
    return button, [prompt, steps, own_share, name_classes]

"""The page itself, in Gradio's terms: fields, tabs, and what happens when."""

from collections.abc import Iterator, Mapping
from typing import Any

import gradio as gr
from markupsafe import Markup, escape

from ..visualization import Predictor, palettes_for
from .actions import Actions, ShownStyles
from .parts import NOTHING
from .uploads import Limits

_LONGEST_PROMPT = 120  # characters
_MOST_STEPS = 200
_FEW_STEPS = 20
_CLEAN_UP = (600, 3600)  # seconds: how often, and of what age files of earlier visits go
_WAITING = 16  # requests at most
_ONE_AT_A_TIME = {"concurrency_limit": 1, "concurrency_id": "model", "api_visibility": "private"}
_PALETTE_LABELS = {"classes": "of the classes", "colorblind": "colour-blind safe"}
_TITLE = "Language-guided segmentation"
_PROGRESS = gr.Progress()  # as a default argument it tells Gradio to show progress


def build_page(actions: Actions, *, palette: str = "classes") -> gr.Blocks:
    """The page around the functions.

    Args:
        actions: what it does.
        palette: name of the palette it opens with.
    """
    with gr.Blocks(
        title=_TITLE, analytics_enabled=False, delete_cache=_CLEAN_UP, fill_width=True
    ) as page:
        gr.HTML(_header(), js_on_load=None)
        with gr.Row():
            with gr.Column(scale=1, min_width=240):
                inputs = _inputs(actions.predictors, palette)
                gr.HTML(_limits(actions.limits), js_on_load=None)
            with gr.Column(scale=4), gr.Tabs():
                with gr.Tab("Predict", id="predict"):
                    _prediction_tab(actions, inputs)
                with gr.Tab("Restyle", id="restyle"):
                    _style_tab(actions, inputs)
    page.queue(max_size=_WAITING, api_open=False)
    return page


def _inputs(predictors: Mapping[str, Predictor], palette: str) -> list[Any]:
    """File, checkpoint and colours, which the tabs share."""
    models = list(predictors)
    palettes = palettes_for(predictors[models[0]].classes)
    choices = [(_PALETTE_LABELS[name], name) for name in palettes]
    return [
        gr.File(label="Image or clip", height=150, elem_id="file"),
        gr.Radio(models, value=models[0], label="Checkpoint", elem_id="checkpoint"),
        gr.Radio(choices, value=palette, label="Colours", elem_id="palette"),
    ]


def _prediction_tab(actions: Actions, inputs: list[Any]) -> None:
    message = _html("message")
    with gr.Row():
        overlay = _picture("Predicted classes", "overlay")
        confidence = _picture("Confidence", "confidence")
    video = gr.Video(label="Predicted classes and confidence", visible=False, elem_id="video")
    legend = _html("legend")

    wanted: dict[str | None, tuple[Any, ...]] = {}  # file, checkpoint and colours by session

    def want(request: gr.Request, *values: Any) -> None:
        wanted[request.session_hash] = values

    # A generator, which Gradio ends when its visitor leaves; it ends itself when others are wanted.
    def predict(
        file: str | None,
        model: str,
        palette: str,
        request: gr.Request,
        progress: gr.Progress = _PROGRESS,
    ) -> Iterator[list[Any]]:
        own, before = (file, model, palette), wanted.get(request.session_hash)
        for shown in actions.predict(
            file, model, palette, report=lambda done, what: progress(done, desc=what)
        ):
            now = wanted.get(request.session_hash)  # this file may arrive there later
            if shown is None and now is not before and now != own:
                return
            is_clip = shown is not None and shown.video is not None
            yield (
                [gr.skip()] * len(fields)
                if shown is None
                else [
                    shown.message,
                    gr.Image(value=shown.overlay, visible=not is_clip),
                    gr.Image(value=shown.confidence, visible=not is_clip),
                    gr.Video(value=shown.video, visible=is_clip),
                    shown.legend,
                ]
            )

    fields = [message, overlay, confidence, video, legend]
    changes = [field.change for field in inputs]
    gr.on(changes, predict, inputs, fields, trigger_mode="always_last", **_ONE_AT_A_TIME)
    gr.on(changes, want, inputs, None, queue=False, api_visibility="private")


def _style_tab(actions: Actions, inputs: list[Any]) -> None:
    with gr.Row():
        prompt = gr.Textbox(
            label="Style",
            placeholder="foggy night",
            max_length=_LONGEST_PROMPT,
            max_lines=1,
            scale=4,
            elem_id="prompt",
        )
        button = gr.Button("Mine and restyle", variant="primary", elem_id="mine", min_width=160)
    with gr.Row():
        steps = gr.Slider(0, _MOST_STEPS, _FEW_STEPS, step=1, label="Mining steps")
        own_share = gr.Slider(0, 1, 0, step=0.05, label="Own style kept")
        name_classes = gr.Checkbox(
            True, label="With class names", info="as in the recipe: “foggy night road”"
        )
    message = _html("style-message")
    with gr.Row():
        pictures = [
            _picture("Before", "before"),
            _picture("After", "after"),
            _picture("Changed", "difference"),
        ]
    styles = _html("styles")

    def restyle(*values: Any) -> list[Any]:
        return list(actions.restyle(*values))

    fields = [*inputs, prompt, steps, own_share, name_classes]
    shown = [message, *pictures, styles]
    event = gr.on([button.click, prompt.submit], restyle, fields, shown, **_ONE_AT_A_TIME)
    # What is shown belongs to one image, checkpoint and palette; what is under way, too.
    gr.on(
        [field.change for field in inputs],
        lambda: list(ShownStyles(NOTHING)),
        None,
        shown,
        queue=False,
        cancels=[event],
        api_visibility="private",
    )


def _header() -> Markup:
    lead = (
        "Drop a street scene to see what a model makes of it; describe a style to see what its "
        "features make of that."
    )
    return Markup(f"<header id='lead'><h1>{escape(_TITLE)}</h1><p>{escape(lead)}</p></header>")


def _limits(limits: Limits) -> Markup:
    text = (
        f"Up to {limits.megabytes} MB. Images are scaled down to {limits.longest_side} pixels, "
        f"clips end after {limits.frames} frames. Files stay on the computer that runs this page "
        "and are deleted when it ends."
    )
    return Markup(f"<p id='limits'>{escape(text)}</p>")


def _html(name: str) -> gr.HTML:
    return gr.HTML(elem_id=name, js_on_load=None)


def _picture(label: str, name: str) -> gr.Image:
    return gr.Image(
        label=label,
        elem_id=name,
        format="png",
        interactive=False,
        alt_text=label,
        buttons=["download", "fullscreen"],
    )

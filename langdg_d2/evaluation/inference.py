"""The inference variants as one choice, and its name for tables."""

from collections.abc import Iterator, Sequence

from torch import nn

from ..utils.errors import LangDGError
from .multi_scale import MultiScaleInference
from .reduced_precision import ReducedPrecisionInference
from .sliding_window import SlidingWindowInference

_WINDOWS = "windows"


def build_inference(
    model: nn.Module,
    *,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    window: Sequence[int] | None = None,
    stride: Sequence[int] | None = None,
    precision: str = "float32",
) -> nn.Module:
    """Wrap a model so that it predicts in a variant; the model itself for whole images once.

    Args:
        model: maps batched inputs to `[{"sem_seg": logits}]`.
        scales: factors of the image size whose logits are averaged.
        flip: whether mirrored images are averaged in.
        window: height and width in pixels of windows that slide over every scaled image; None
            to see images whole.
        stride: distance of the windows, vertical and horizontal; None for half a window.
        precision: of convolutions and products, one of `PRECISIONS`.

    Raises:
        LangDGError: for values that make no sense.
    """
    if precision != "float32":
        model = ReducedPrecisionInference(model=model, precision=precision)
    if window is not None:
        if stride is None and isinstance(window, Sequence):
            stride = [max(1, side // 2) for side in window]
        model = SlidingWindowInference(model=model, window=window, stride=stride)
    elif stride is not None:
        raise LangDGError(f"stride {list(stride)} without a window; set the window too")
    if flip or scales not in ([1], (1,)):
        model = MultiScaleInference(model=model, scales=scales, flip=flip)
    return model


def unwrapped(model: nn.Module) -> Iterator[nn.Module]:
    """A model and what it wraps, as `build_inference` does, the network itself last."""
    yield model
    if isinstance(inner := getattr(model, "model", None), nn.Module):
        yield from unwrapped(inner)


def inference_name(model: nn.Module) -> str:
    """What `build_inference` made, in words, such as "whole image, scales 1 and 0.5, flip"."""
    parts = [_describe(part) for part in reversed(list(unwrapped(model)))]
    windows = [part for part in parts if part.startswith(_WINDOWS)]
    others = [part for part in parts if part and part not in windows]
    return ", ".join([*(windows or ["whole image"]), *others])


def _describe(part: nn.Module) -> str:
    if isinstance(part, SlidingWindowInference):
        window, stride = (f"{height}x{width}" for height, width in (part.window, part.stride))
        return f"{_WINDOWS} {window} every {stride}"
    if isinstance(part, MultiScaleInference):
        scales = [f"{scale:g}" for scale in part.scales]
        listed = " and ".join([", ".join(scales[:-1]), scales[-1]] if scales[1:] else scales)
        return f"scale{'s' * (len(scales) > 1)} {listed}{', flip' * part.flip}"
    return part.precision if isinstance(part, ReducedPrecisionInference) else ""

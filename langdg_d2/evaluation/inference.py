"""Inference on many domains, and its variants.

Variants predict whole images or windows, at one or several scales, and in full or reduced
precision. Each wraps a model in eval mode that maps batched inputs to `[{"sem_seg": logits}]`, and
has the same inputs and outputs.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from detectron2.evaluation import DatasetEvaluator, inference_on_dataset
from detectron2.modeling.postprocessing import sem_seg_postprocess
from detectron2.utils import comm
from torch import Tensor, nn
from tqdm import tqdm

from ..layers import fold
from ..utils.amp import autocast, dtype_of
from ..utils.errors import LangDGError

BatchedInputs = Sequence[dict[str, Any]]
Predictions = list[dict[str, Tensor]]
Evaluators = Mapping[str, DatasetEvaluator | list[DatasetEvaluator]]


def evaluate_domains(
    model: Callable[[Any], Any], loaders: Mapping[str, Iterable[Any]], evaluators: Evaluators
) -> dict[str, dict[str, dict[str, float]]]:
    """Run inference on all domains, one after another. Collective.

    Args:
        model: maps batches of inputs to outputs. It is in eval mode and folded during inference;
            afterwards, even after an error, every submodule is in its previous mode.
        loaders: test loaders with a length, by domain.
        evaluators: one evaluator or a list of evaluators, by domain.

    Returns:
        `{domain: {task: {metric: value}}}` on the main process, in the order of the loaders,
        without domains that have no scores, such as test sets without labels. On other processes
        an empty dict.
    """
    results: dict[str, dict[str, dict[str, float]]] = {}

    def predict(batch: BatchedInputs) -> list[dict[str, Any]]:
        # Copied, because evaluators add shared results, such as the class map, and a model may
        # return the same dict again.
        return [dict(output) for output in model(batch)]

    with _eval_mode(model), fold(model):
        for domain, loader in loaders.items():
            # None hides the bar if stderr is a file; Detectron2 logs the progress anyway.
            disable = None if comm.is_main_process() else True
            with tqdm(loader, desc=domain, unit="batch", disable=disable) as progress:
                results[domain] = dict(inference_on_dataset(predict, progress, evaluators[domain]))
    return {domain: tasks for domain, tasks in results.items() if tasks}


def build_inference(
    model: nn.Module,
    *,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    window: Sequence[int] | None = None,
    stride: Sequence[int] | None = None,
    precision: str = "float32",
) -> nn.Module:
    """Wrap a model in inference variants.

    Args:
        model: maps batched inputs to `[{"sem_seg": logits}]`.
        scales: factors of the image size, over which logits are averaged.
        flip: whether to also average over mirrored images.
        window: height and width in pixels of windows that slide over each scaled image; None for
            whole images.
        stride: vertical and horizontal distance of windows in pixels; None for half a window.
        precision: precision of convolutions and matrix products, one of `PRECISIONS`.

    Returns:
        The wrapped model, or the model itself for the defaults.
    """
    # From the inside out: each scale of an image is divided into windows.
    if precision != "float32":
        model = ReducedPrecisionInference(model=model, precision=precision)
    if window is not None:
        if stride is None and isinstance(window, Sequence):
            stride = [max(1, side // 2) for side in window]
        model = SlidingWindowInference(model=model, window=window, stride=stride)
    elif stride is not None:
        raise LangDGError(f"stride {list(stride)} without a window; also set the window")
    if flip or scales not in ([1], (1,)):
        model = MultiScaleInference(model=model, scales=scales, flip=flip)
    return model


def unwrapped(model: nn.Module) -> Iterator[nn.Module]:
    """Yield a model from `build_inference` and all models it wraps, ending with the network."""
    yield model
    if isinstance(inner := getattr(model, "model", None), nn.Module):
        yield from unwrapped(inner)


def inference_name(model: nn.Module) -> str:
    """Describe a model from `build_inference`, as "whole image, scales 1 and 0.5, flip"."""
    image, others = "whole image", list[str]()
    for part in unwrapped(model):
        if isinstance(part, SlidingWindowInference):
            window, stride = (f"{height}x{width}" for height, width in (part.window, part.stride))
            image = f"windows {window} every {stride}"
        elif isinstance(part, MultiScaleInference):
            *scales, last = (f"{scale:g}" for scale in part.scales)
            listed = f"scales {', '.join(scales)} and {last}" if scales else f"scale {last}"
            others.insert(0, listed + ", flip" * part.flip)
        elif isinstance(part, ReducedPrecisionInference):
            others.insert(0, part.precision)
    return ", ".join([image, *others])


class MultiScaleInference(nn.Module):
    """Averages a model's logits over scales and flips.

    Scales 1 and 0.5 without flip are the ensemble of FAMix's official release; its single-scale row
    uses only scale 0.5. As there, image sides are scaled without antialiasing and rounded down, and
    both resizes are bilinear with aligned corners. With only scale 1 and no flip, the logits are
    exactly those of the model.

    Args:
        model: model to wrap, which may be another variant.
        scales: factors of height and width.
        flip: whether to also predict every scale mirrored.
    """

    def __init__(
        self, *, model: nn.Module, scales: Sequence[float] = (1.0,), flip: bool = False
    ) -> None:
        super().__init__()
        if not isinstance(scales, Sequence) or not scales or not all(s > 0 for s in scales):
            raise LangDGError(f"scales {scales}; expected a list of factors above 0, such as [1.0]")
        self.model = model
        self.scales = tuple(scales)
        self.flip = flip

    @torch.no_grad()
    def forward(self, batched_inputs: BatchedInputs) -> Predictions:
        """For each image `image` (3, H, W) in 0..255, of any `height` and `width`, its logits."""
        first, *others = product(self.scales, (False, True) if self.flip else (False,))
        totals = self._predict(batched_inputs, *first)
        for view in others:
            predicted = self._predict(batched_inputs, *view)
            # Averages logits, not probabilities, as in the authors' code.
            totals = [total + logits for total, logits in zip(totals, predicted, strict=True)]
        return [{"sem_seg": total / (1 + len(others))} for total in totals]

    def _predict(self, batched_inputs: BatchedInputs, scale: float, mirrored: bool) -> list[Tensor]:
        """Predict the logits of every image from one view, at the output size and not mirrored."""
        views = [_view(inputs, scale, mirrored) for inputs in batched_inputs]
        predictions = []
        for inputs, prediction in zip(batched_inputs, self.model(views), strict=True):
            logits = prediction["sem_seg"]
            logits = logits.flip(-1) if mirrored else logits
            predictions.append(_resize_aligned(logits, _output_size(inputs)))
        return predictions


class SlidingWindowInference(nn.Module):
    """Averages a model's logits over all windows that contain a pixel.

    The last window of a row or column ends at the image border. Windows are predicted one at a
    time, so that only the logits of the image and of one window are in memory. If the window covers
    all images, the logits are exactly those of the model.

    Args:
        model: model to wrap.
        window: height and width in pixels; smaller images are not divided along that side.
        stride: vertical and horizontal distance of windows in pixels, at most the window's size.
    """

    def __init__(self, *, model: nn.Module, window: Sequence[int], stride: Sequence[int]) -> None:
        super().__init__()
        self.model = model
        self.window = _pair("window", window)
        self.stride = _pair("stride", stride)
        if any(s > w for s, w in zip(self.stride, self.window, strict=True)):
            raise LangDGError(
                f"stride {self.stride} is larger than the window {self.window} (height, width) "
                "and would skip pixels; use a smaller stride"
            )

    @torch.no_grad()
    def forward(self, batched_inputs: BatchedInputs) -> Predictions:
        """For each image `image` (3, H, W) in 0..255, of any `height` and `width`, its logits."""
        sizes = [inputs["image"].shape[-2:] for inputs in batched_inputs]
        if all(height <= self.window[0] and width <= self.window[1] for height, width in sizes):
            predictions: Predictions = self.model(batched_inputs)
            return predictions
        return [{"sem_seg": self._slide(inputs)} for inputs in batched_inputs]

    def _slide(self, inputs: dict[str, Any]) -> Tensor:
        size = tuple(inputs["image"].shape[-2:])
        spans = (windows(*sides) for sides in zip(size, self.window, self.stride, strict=True))
        total: Tensor | None = None
        for row, column in product(*spans):
            image = inputs["image"][:, row, column]
            height, width = image.shape[-2:]
            view = inputs | {"image": image, "height": height, "width": width}
            logits = self.model([view])[0]["sem_seg"]
            if total is None:
                total = logits.new_zeros(len(logits), *size)
                times = logits.new_zeros(size)
            total[:, row, column] += logits
            times[row, column] += 1
        assert total is not None  # there is always a window
        total /= times
        wanted = _output_size(inputs)
        return total if wanted == size else sem_seg_postprocess(total, size, *wanted)


class ReducedPrecisionInference(nn.Module):
    """Runs a model under autocast; its weights and logits stay float32.

    Args:
        model: model to wrap.
        precision: see `autocast`.
    """

    def __init__(self, *, model: nn.Module, precision: str) -> None:
        super().__init__()
        # Raises an error now if the device lacks the precision.
        dtype_of(precision, next(model.parameters()).device.type)
        self.model = model
        self.precision = precision

    @torch.no_grad()
    def forward(self, batched_inputs: BatchedInputs) -> Predictions:
        """Run the wrapped model, see there."""
        device = next(self.model.parameters()).device
        with autocast(self.precision, device.type):
            predictions: Predictions = self.model(batched_inputs)
        return predictions


def windows(side: int, window: int, stride: int) -> list[slice]:
    """Return windows of equal length that cover one side of an image, in pixels."""
    # The last window ends at the border, because a shorter one would see less context.
    last = max(0, side - window)
    return [slice(start, min(start + window, side)) for start in (*range(0, last, stride), last)]


@contextmanager
def _eval_mode(model: Callable[[Any], Any]) -> Iterator[None]:
    """Set eval mode and turn off cuDNN's benchmark, which only pays off for a single image size."""
    modules = list(model.modules()) if isinstance(model, nn.Module) else []
    # Per submodule, because `model.train(mode)` would also train frozen BatchNorm layers.
    modes = [module.training for module in modules]
    benchmark, torch.backends.cudnn.benchmark = torch.backends.cudnn.benchmark, False
    try:
        for module in modules[:1]:
            module.eval()
        yield
    finally:
        torch.backends.cudnn.benchmark = benchmark
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode


def _output_size(inputs: dict[str, Any]) -> tuple[int, int]:
    """Return height and width of the logits for an image, by default those of the image."""
    height, width = inputs["image"].shape[-2:]
    return inputs.get("height", height), inputs.get("width", width)


def _resize_aligned(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize (C, H, W) to (C, *size), bilinear with aligned corners, unless it has that size."""
    if x.shape[-2:] == size:
        return x
    return F.interpolate(x[None], size=size, mode="bilinear", align_corners=True)[0]


def _view(inputs: dict[str, Any], scale: float, mirrored: bool) -> dict[str, Any]:
    """Return inputs with a scaled and mirrored image, to be predicted at the size of that image."""
    view = dict(inputs)
    if scale != 1:
        # The rounding of `F.interpolate` with a scale factor.
        height, width = (max(1, math.floor(side * scale)) for side in inputs["image"].shape[-2:])
        view["image"] = _resize_aligned(inputs["image"].float(), (height, width))
        view |= {"height": height, "width": width}
    if mirrored:
        view["image"] = view["image"].flip(-1)
    return view


def _pair(name: str, values: Sequence[int]) -> tuple[int, int]:
    if not isinstance(values, Sequence) or len(values) != 2 or min(values) < 1:
        raise LangDGError(f"{name} {values}; expected height and width in pixels, as [768, 768]")
    return values[0], values[1]

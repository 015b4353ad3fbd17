"""Inference at several scales of an image and its mirror image: the mean of their logits."""

import math
from collections.abc import Sequence
from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..utils.errors import LangDGError

BatchedInputs = Sequence[dict[str, Any]]
Predictions = list[dict[str, Tensor]]


class MultiScaleInference(nn.Module):
    """Mean of a model's logits over scales and flips, in the model's own convention.

    Scales 1 and 0.5 without flip are the ensemble of FAMix's official release, and its scale 0.5
    is that scale alone. As there, images shrink without antialiasing to sides rounded down, and
    both ways are bilinear with aligned corners.

    Args:
        model: maps batched inputs to `[{"sem_seg": logits}]`, or another inference variant.
        scales: factors of the image's height and width.
        flip: whether every scale is predicted mirrored as well.

    Raises:
        LangDGError: if there is no scale, or one is not positive.
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
        """Predictions of the model, in eval mode.

        Args:
            batched_inputs: for each image `image` (3, H, W) in 0..255, and `height` and `width`,
                the output size, if it is not the image's own.

        Returns:
            For each image `{"sem_seg": logits}`, (classes, height, width). With scale 1 alone and
            no flip they are the model's own, bit by bit.
        """
        first, *others = product(self.scales, (False, True) if self.flip else (False,))
        totals = self._predict(batched_inputs, *first)
        for view in others:
            predicted = self._predict(batched_inputs, *view)
            totals = [total + logits for total, logits in zip(totals, predicted, strict=True)]
        return [{"sem_seg": total / (1 + len(others))} for total in totals]

    def _predict(self, batched_inputs: BatchedInputs, scale: float, mirrored: bool) -> list[Tensor]:
        """Logits of every image from one view of it, at the output size and not mirrored."""
        views = [_view(inputs, scale, mirrored) for inputs in batched_inputs]
        predictions = []
        for inputs, prediction in zip(batched_inputs, self.model(views), strict=True):
            logits = prediction["sem_seg"]
            logits = logits.flip(-1) if mirrored else logits
            predictions.append(resize_aligned(logits, output_size(inputs)))
        return predictions


def output_size(inputs: dict[str, Any]) -> tuple[int, int]:
    """Height and width of the logits wanted for an image: its own unless it says otherwise."""
    height, width = inputs["image"].shape[-2:]
    return inputs.get("height", height), inputs.get("width", width)


def resize_aligned(x: Tensor, size: tuple[int, int]) -> Tensor:
    """(C, H, W) to (C, *size), bilinear with aligned corners; the same tensor at the same size."""
    if x.shape[-2:] == size:
        return x
    return F.interpolate(x[None], size=size, mode="bilinear", align_corners=True)[0]


def _view(inputs: dict[str, Any], scale: float, mirrored: bool) -> dict[str, Any]:
    """The inputs with their image scaled and mirrored, predicted at the size of that image."""
    view = dict(inputs)
    if scale != 1:
        height, width = (max(1, math.floor(side * scale)) for side in inputs["image"].shape[-2:])
        view["image"] = resize_aligned(inputs["image"].float(), (height, width))
        view |= {"height": height, "width": width}
    if mirrored:
        view["image"] = view["image"].flip(-1)
    return view

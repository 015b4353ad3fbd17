"""Inference in overlapping windows, for images larger than a model should see at once."""

from collections.abc import Sequence
from typing import Any

import torch
from detectron2.modeling.postprocessing import sem_seg_postprocess
from torch import Tensor, nn

from ..utils.errors import LangDGError
from .multi_scale import BatchedInputs, Predictions, output_size


class SlidingWindowInference(nn.Module):
    """Mean of a model's logits over the windows that see a pixel, in the model's own convention.

    Windows are a stride apart, and the last of a row or column ends with the image. One is
    predicted at a time: beside the logits of the image, memory holds those of one window.

    Args:
        model: maps batched inputs to `[{"sem_seg": logits}]`.
        window: height and width in pixels; an image that is smaller on a side has it whole.
        stride: distance of windows in pixels, vertical and horizontal, at most the window.

    Raises:
        LangDGError: if the stride is not positive, or leaves gaps between the windows.
    """

    def __init__(self, *, model: nn.Module, window: Sequence[int], stride: Sequence[int]) -> None:
        super().__init__()
        self.model = model
        self.window = _pair("window", window)
        self.stride = _pair("stride", stride)
        if any(s > w for s, w in zip(self.stride, self.window, strict=True)):
            raise LangDGError(
                f"stride {self.stride} is larger than the window {self.window} (height, width) "
                "and would leave pixels unseen; use a smaller stride"
            )

    @torch.no_grad()
    def forward(self, batched_inputs: BatchedInputs) -> Predictions:
        """Predictions of the model, in eval mode.

        Args:
            batched_inputs: for each image `image` (3, H, W) in 0..255, and `height` and `width`,
                the output size, if it is not the image's own.

        Returns:
            For each image `{"sem_seg": logits}`, (classes, height, width). Where the window
            covers every image they are the model's own, bit by bit.
        """
        if all(self._covers(inputs["image"]) for inputs in batched_inputs):
            predictions: Predictions = self.model(batched_inputs)
            return predictions
        return [{"sem_seg": self._slide(inputs)} for inputs in batched_inputs]

    def _covers(self, image: Tensor) -> bool:
        return all(s <= w for s, w in zip(image.shape[-2:], self.window, strict=True))

    def _slide(self, inputs: dict[str, Any]) -> Tensor:
        size = tuple(inputs["image"].shape[-2:])
        rows, columns = (
            windows(*sides) for sides in zip(size, self.window, self.stride, strict=True)
        )
        total: Tensor | None = None
        for row in rows:
            for column in columns:
                logits = self._predict(inputs, row, column)
                if total is None:
                    total = logits.new_zeros(len(logits), *size)
                total[:, row, column] += logits
        assert total is not None  # there is always a window
        total /= _times_seen(rows, size[0], total)[:, None] * _times_seen(columns, size[1], total)
        wanted = output_size(inputs)
        return total if wanted == size else sem_seg_postprocess(total, size, *wanted)

    def _predict(self, inputs: dict[str, Any], row: slice, column: slice) -> Tensor:
        image = inputs["image"][:, row, column]
        height, width = image.shape[-2:]
        prediction = self.model([inputs | {"image": image, "height": height, "width": width}])
        logits: Tensor = prediction[0]["sem_seg"]
        return logits


def windows(side: int, window: int, stride: int) -> list[slice]:
    """Windows along one side of an image, in pixels: all of one length, all pixels seen."""
    last = max(0, side - window)
    return [slice(start, min(start + window, side)) for start in (*range(0, last, stride), last)]


def _times_seen(spans: Sequence[slice], side: int, like: Tensor) -> Tensor:
    times = like.new_zeros(side)
    for span in spans:
        times[span] += 1
    return times


def _pair(name: str, values: Sequence[int]) -> tuple[int, int]:
    if not isinstance(values, Sequence) or len(values) != 2 or min(values) < 1:
        raise LangDGError(f"{name} {values}; expected height and width in pixels, as [768, 768]")
    return values[0], values[1]

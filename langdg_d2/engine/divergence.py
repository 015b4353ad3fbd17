"""What a training that has lost its numbers says: where it began, and in what state it is."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..data import ImageFileError
from ..data.image_io import read_rgb

# Scaled losses begin at 65536, and every step that is left out halves the scale. Below this,
# gradients overflow though they are made a thousand times smaller than they are.
SMALLEST_SCALE = 2.0**-10

_REMEDY = (
    "no weights were saved since. Resume from the last checkpoint (--resume), with a smaller "
    "optimizer.lr or train.precision=float32"
)


class Trouble(NamedTuple):
    """That numbers are lost.

    Attributes:
        iteration: the first one.
        in_weights: they are those of weights or gradients, not of losses; of an iteration,
            losses come first.
        text: what is lost and where.
    """

    iteration: int
    in_weights: bool
    text: str

    @property
    def time(self) -> tuple[int, bool]:
        """Orders troubles."""
        return self.iteration, self.in_weights


def raise_first(troubles: Sequence[Trouble]) -> None:
    """End the training if there is trouble, with the first one; with all that are equally early.

    Raises:
        FloatingPointError: then.
    """
    if troubles:
        first = min(trouble.time for trouble in troubles)
        texts = [trouble.text for trouble in troubles if trouble.time == first]
        raise FloatingPointError("; ".join([*texts, _REMEDY]))


def file_names(batch: Any) -> list[str]:
    """The images of a batch, as far as it tells."""
    records = batch if isinstance(batch, Sequence) else ()
    return [record["file_name"] for record in records if _has_name(record)]


def all_finite(model: nn.Module) -> Tensor:
    """Whether everything that training changes in a model is finite, a scalar on its device."""
    return torch.stack([values.detach().sum() for _, values in _changing(model)]).isfinite().all()


def describe_images(files: Sequence[str]) -> str:
    """Size and values of images as they are stored, or why they cannot be read."""
    return "; ".join(_described(file) for file in files) or "not told by their batches"


def describe_state(model: nn.Module, optimizer: Optimizer) -> str:
    """Share of a model's weights and gradients that is not finite, by part, and learning rates."""
    rates = ", ".join(f"{group['lr']:.3g}" for group in optimizer.param_groups)
    gradients = ((n, p.grad) for n, p in unwrapped(model).named_parameters() if p.grad is not None)
    return (
        f"weights that are not finite: {_shares(_changing(model))}; gradients: "
        f"{_shares(gradients)}; learning rates {rates}"
    )


def _described(file: str) -> str:
    try:
        image = read_rgb(file)
    except ImageFileError as error:
        return str(error)
    height, width = image.shape[:2]
    values = f"values {image.min()}..{image.max()}, mean {image.mean():.1f}"
    return f"'{file}' ({height}x{width}, {values})"


def _has_name(record: Any) -> bool:
    return isinstance(record, Mapping) and "file_name" in record


def unwrapped(model: nn.Module) -> nn.Module:
    """The model that processes share, or the model itself."""
    return model.module if isinstance(model, nn.parallel.DistributedDataParallel) else model


def _changing(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Names and values of trainable parameters and of statistics."""
    model = unwrapped(model)
    yield from ((name, p) for name, p in model.named_parameters() if p.requires_grad)
    yield from ((name, b) for name, b in model.named_buffers() if b.is_floating_point())


def _shares(named: Iterator[tuple[str, Tensor]]) -> str:
    total: dict[str, int] = {}
    bad: dict[str, int] = {}
    for name, values in named:
        part = name.partition(".")[0]
        total[part] = total.get(part, 0) + values.numel()
        bad[part] = bad.get(part, 0) + int((~values.isfinite()).sum())
    return ", ".join(f"{bad[part] / total[part]:.2%} of {part}" for part in total) or "none there"

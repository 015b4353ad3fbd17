"""Does an exported file say the same as the model it was made of?"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..evaluation import require_finite
from ..evaluation.tables import MISSING, markdown_table
from ..layers import resize_bilinear
from ..modeling import LangDGSegmentor
from ..utils.errors import LangDGError

LARGEST_DIFFERENCE = 1e-4  # float32 rounds at 6e-8, over some hundred operations in another order
_LEAST_AGREEMENT = 0.999  # of classes: at borders rounding decides between two
_SEED = 0
_BATCH = 2
_PATCHES = 9  # coarse squares of colour a side


class ParityError(LangDGError):
    """An exported file predicts something else than the model; the message says how far off."""


@dataclass(frozen=True, kw_only=True)
class Parity:
    """How close a file comes to its model on images of a size.

    Attributes:
        size: height and width in pixels.
        difference: largest of logits, relative to the largest logit's magnitude; None where the
            file gives classes.
        agreement: share of pixels, in 0..1, that get the same class.
    """

    size: tuple[int, int]
    difference: float | None
    agreement: float

    def holds(self, largest_difference: float) -> bool:
        """Whether both figures are within bounds; figures that are no numbers are not."""
        close = self.difference is None or self.difference <= largest_difference
        return close and self.agreement >= _LEAST_AGREEMENT


def measure_parity(
    model: LangDGSegmentor, run: Callable[[Tensor], Tensor], *, size: tuple[int, int]
) -> Parity:
    """Compare a model, image by image, with a file that is given one image, and several at once.

    Args:
        model: in eval mode, on the CPU.
        run: of the `ExportedSegmentor`.
        size: height and width in pixels of the images, which are seeded random colours.

    Returns:
        The worse of both comparisons.

    Raises:
        ParityError: if what the file gives has another shape.
    """
    images = random_images(_BATCH, size)
    logits = torch.stack([model.inference([{"image": image}])[0]["sem_seg"] for image in images])
    pairs = [(logits[:1], run(images[:1])), (logits, run(images))]
    measured = [_compare(expected, given) for expected, given in pairs]
    differences = [difference for difference, _ in measured if difference is not None]
    return Parity(
        size=size,
        # `max` would lose a NaN that is not the first.
        difference=torch.tensor(differences).max().item() if differences else None,
        agreement=min(agreement for _, agreement in measured),
    )


def require_parity(rows: Mapping[str, Sequence[Parity]], *, largest_difference: float) -> None:
    """See that files are as good as their model.

    Args:
        rows: comparisons by the name of the file.
        largest_difference: relative, that logits may have.

    Raises:
        ParityError: if one is not; names it, with its figures and the bounds.
    """
    for name, comparisons in rows.items():
        for row in comparisons:
            if not row.holds(largest_difference):
                figures = ", ".join(_cells(row))
                raise ParityError(
                    f"'{name}' does not predict what the model does: {figures} (size, difference, "
                    f"equal classes), expected at most {largest_difference:g} and at least "
                    f"{_LEAST_AGREEMENT:.1%}. Do not use it; try another version of torch, or of "
                    "onnxscript and onnxruntime"
                )


def parity_table(rows: Mapping[str, Sequence[Parity]]) -> str:
    """Comparisons by the name of the file, as a Markdown table."""
    cells = [(name, *_cells(row)) for name, comparisons in rows.items() for row in comparisons]
    titles = ("file", "image size", "largest difference of logits", "equal classes")
    return markdown_table({title: [cell[k] for cell in cells] for k, title in enumerate(titles)})


def random_images(count: int, size: tuple[int, int]) -> Tensor:
    """(count, 3, *size) uint8: smooth colours under noise, always the same ones."""
    generator = torch.Generator().manual_seed(_SEED)
    coarse = torch.rand(count, 3, _PATCHES, _PATCHES, generator=generator)
    noise = torch.rand(count, 3, *size, generator=generator)
    return ((3 * resize_bilinear(coarse, size) + noise) / 4 * 255).round().to(torch.uint8)


def _compare(logits: Tensor, given: Tensor) -> tuple[float | None, float]:
    """Relative difference of logits, if they are given, and the share of equal classes."""
    require_finite(logits)
    classes = logits.argmax(dim=1)
    if given.shape == logits.shape and given.is_floating_point():
        difference = ((given - logits).abs().max() / logits.abs().max()).item()
        return difference, _share_equal(given.argmax(dim=1), classes)
    if given.shape != classes.shape:
        raise ParityError(
            f"the file gives {tuple(given.shape)} where the model gives logits "
            f"{tuple(logits.shape)}: it does not take images of every size"
        )
    return None, _share_equal(given, classes)


def _share_equal(classes: Tensor, others: Tensor) -> float:
    return (classes == others).double().mean().item()


def _cells(row: Parity) -> tuple[str, str, str]:
    height, width = row.size
    return (
        f"{height}x{width}",
        MISSING if row.difference is None else f"{row.difference:.1e}",
        # Rounded down: only all is 100 %.
        f"{math.floor(row.agreement * 1e5) / 1e3:.3f} %",
    )

"""PIN, prompt-driven instance normalization (PØDA, arXiv 2212.03241; paper section 4.2).

A patch keeps its content and adopts the style of a text: its channel statistics are optimised so
that CLIP's embedding of the restyled patch approaches that of the text.
"""

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..modeling import TextAlignedBackbone
from ..structures import ChannelStats, PatchGrid, patch_stats
from ..utils.amp import at_least_single, autocast
from ..utils.errors import LangDGError, require_int

_WHOLE = PatchGrid(1, 1)
_PRECISIONS = ("float32", "bfloat16")  # float16 would require loss scaling


class PinResult(NamedTuple):
    """Optimised styles of P patches.

    Attributes:
        stats: mean and std (P, C, 1, 1).
        cosine_before: similarity (P,) to the text in the patch's own style.
        cosine_after: similarity (P,) to the text in the optimised style.
    """

    stats: ChannelStats
    cosine_before: Tensor
    cosine_after: Tensor


@dataclass(frozen=True, kw_only=True)
class PinSettings:
    """Settings of the optimisation with SGD; the defaults are those of the paper.

    Attributes:
        steps: number of steps; 0 keeps the patches' own statistics.
        lr: learning rate.
        momentum: momentum in [0, 1).
        weight_decay: weight decay of both mean and std.
        precision: precision of convolutions and matrix products, "float32" or "bfloat16"; styles
            and cosines are float32.
    """

    steps: int = 100
    lr: float = 1.0
    momentum: float = 0.9
    weight_decay: float = 1e-4
    precision: str = "float32"

    def __post_init__(self) -> None:
        require_int("pin.steps", self.steps, 0)
        in_range = self.lr > 0 and 0 <= self.momentum < 1 and self.weight_decay >= 0
        if not in_range or self.precision not in _PRECISIONS:
            raise LangDGError(
                f"{self}: weight_decay must not be negative, lr must be positive, "
                f"momentum must be in [0, 1), precision must be one of {_PRECISIONS}"
            )

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as recorded in banks; precision only if it is not float32."""
        settings = asdict(self)
        if self.precision == "float32":
            del settings["precision"]
        return settings


class PromptDrivenNormalization:
    """Optimises the statistics of patches toward texts; the loss is the mean of `1 - cosine`.

    Args:
        backbone: frozen CLIP at its original stride in eval mode, see `load_embedding_clip`.
        settings: settings of the optimisation.
    """

    def __init__(self, *, backbone: TextAlignedBackbone, settings: PinSettings) -> None:
        self._backbone = backbone
        self._settings = settings
        shapes = backbone.output_shape()
        *_, self._last = shapes
        factor = shapes[self._last].stride // shapes[backbone.restyled].stride
        # Side of the restyled features for CLIP's input size, 56 after layer1.
        side = backbone.embedding_side
        self._side = None if side is None else side * factor
        self._least = 1 if side else factor

    def __call__(self, patches: Tensor, text: Tensor) -> PinResult:
        """Mine a style for every patch.

        Args:
            patches: features (P, C, h, w) of the restyled layer.
            text: unit text embeddings (P, D), one per patch.
        """
        if min(patches.shape[-2:]) < self._least:
            raise LangDGError(
                f"patches have {patches.shape[-2]}x{patches.shape[-1]} features, but the tower "
                f"needs at least {self._least}x{self._least}: use larger crops or a coarser grid"
            )
        own = patch_stats(patches, _WHOLE)
        # NOTE: normalised first, as in the official code. In the patch's own style, features of
        # exactly 0 are at the kink of ReLU, where rounding decides whether they get a gradient, so
        # the order of operations matters.
        content = (patches - own.mean) / own.std
        style = ChannelStats(*(nn.Parameter(value.clone()) for value in own))
        optimizer = torch.optim.SGD(
            [style.mean, style.std],
            lr=self._settings.lr,
            momentum=self._settings.momentum,
            weight_decay=self._settings.weight_decay,
        )
        with autocast(self._settings.precision, patches.device.type):
            with torch.no_grad():
                before = self.cosine(content, own, text)
            for _ in range(self._settings.steps):
                optimizer.zero_grad()
                loss = (1 - self.cosine(content, style, text)).mean()
                loss.backward()
                optimizer.step()
            with torch.no_grad():
                after = self.cosine(content, style, text)
        stats = ChannelStats(style.mean.detach(), style.std.detach())
        return PinResult(stats, before, after)

    def cosine(self, content: Tensor, style: ChannelStats, text: Tensor) -> Tensor:
        """Return the similarity (P,) of normalised patches (P, C, h, w) in a style to their texts.

        Because attention pooling expects CLIP's input size, restyled patches are average-pooled to
        the size of this layer's output for such an image (64 x 64 to 56 x 56 in FAMix).
        """
        restyled = self._backbone.restyle_activation(content * style.std + style.mean)
        if self._side is not None:
            restyled = average_pool(restyled, self._side)
        features = self._backbone.forward_high({self._backbone.restyled: restyled})
        embedding = self._backbone.embed(features[self._last])
        return F.cosine_similarity(text, at_least_single(embedding))


def average_pool(features: Tensor, side: int) -> Tensor:
    """Apply `adaptive_avg_pool2d` from (N, C, h, w) to (N, C, side, side).

    On GPUs, the gradient of torch's operator is not deterministic. With deterministic algorithms,
    matrix products replace it.
    """
    if features.device.type != "cpu" and torch.are_deterministic_algorithms_enabled():
        return average_pool_by_products(features, side)
    return F.adaptive_avg_pool2d(features, side)


def average_pool_by_products(features: Tensor, side: int) -> Tensor:
    """Compute `average_pool` with one matrix product per axis, equal up to rounding."""
    height, width = features.shape[-2:]
    with autocast("float32", features.device.type):
        return _averages(height, side, features) @ features @ _averages(width, side, features).mT


def _averages(size: int, side: int, like: Tensor) -> Tensor:
    """Return a matrix (side, size), whose row k has the weights of the k-th pooled value."""
    unit = torch.eye(size, dtype=like.dtype, device=like.device)
    return F.adaptive_avg_pool1d(unit, side).mT

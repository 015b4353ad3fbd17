"""PIN, prompt-driven instance normalization (PØDA, arXiv 2212.03241; paper section 4.2).

A patch keeps its content and gets the style of a text: its channel statistics are optimised until
CLIP's embedding of the restyled patch comes close to the embedding of the text.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..modeling import ClipResNet
from ..modeling.backbone.layers import FEATURES, STRIDES
from ..structures import ChannelStats, PatchGrid, patch_stats

_WHOLE = PatchGrid(1, 1)


class PinResult(NamedTuple):
    """Optimised styles of P patches.

    Attributes:
        stats: mean and std (P, C, 1, 1).
        losses: (steps,) the loss before each step.
        cosine_before: (P,) similarity of each patch and its text with the patch's own style.
        cosine_after: (P,) the same with the optimised style.
    """

    stats: ChannelStats
    losses: Tensor
    cosine_before: Tensor
    cosine_after: Tensor


@dataclass(frozen=True, kw_only=True)
class PinSettings:
    """How statistics are optimised; the defaults are the paper's.

    Attributes:
        steps: of SGD; 0 leaves the patches' own statistics.
        lr: learning rate.
        momentum: of SGD.
        weight_decay: of SGD, on mean and std alike.

    Raises:
        ValueError: if one of them is out of range.
    """

    steps: int = 100
    lr: float = 1.0
    momentum: float = 0.9
    weight_decay: float = 1e-4

    def __post_init__(self) -> None:
        if not (
            self.steps >= 0 and self.lr > 0 and 0 <= self.momentum < 1 and self.weight_decay >= 0
        ):
            raise ValueError(
                f"{self}: steps and weight_decay must not be negative, lr must be positive, and "
                "momentum in 0..1 without 1"
            )


class PromptDrivenNormalization:
    """Optimises the statistics of patches toward texts with SGD; nothing else is changed.

    The loss is `1 - cosine`, averaged over the patches given at once.

    Args:
        backbone: frozen CLIP at its own stride with attention pooling, in eval mode.
        settings: of the optimisation.
    """

    def __init__(self, *, backbone: ClipResNet, settings: PinSettings) -> None:
        self._backbone = backbone
        self._settings = settings
        layer_stride = STRIDES[FEATURES.index(backbone.restyled)]
        # Side of the restyled layer's output for an image of CLIP's input size: 56 after layer1.
        self._side = backbone.embedding_side * STRIDES[-1] // layer_stride

    def __call__(self, patches: Tensor, text: Tensor) -> PinResult:
        """Mine a style for every patch.

        Args:
            patches: (P, C, h, w) features of the restyled layer.
            text: (P, D) unit vectors, one for each patch.
        """
        own = patch_stats(patches, _WHOLE)
        # NOTE: normalised first, as in the official code. Many features are exactly 0 and lie on
        # ReLU's kink while the style is the patch's own; which side rounding puts them on decides
        # whether they have a gradient, so the order of operations is part of the method.
        content = (patches - own.mean) / own.std
        style = ChannelStats(*(nn.Parameter(value.clone()) for value in own))
        optimizer = torch.optim.SGD(
            [style.mean, style.std],
            lr=self._settings.lr,
            momentum=self._settings.momentum,
            weight_decay=self._settings.weight_decay,
        )
        losses = patches.new_empty(self._settings.steps)
        with torch.no_grad():
            before = self.cosine(content, own, text)
        for step in range(self._settings.steps):
            optimizer.zero_grad()
            loss = (1 - self.cosine(content, style, text)).mean()
            losses[step] = loss.detach()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            after = self.cosine(content, style, text)
        stats = ChannelStats(style.mean.detach(), style.std.detach())
        return PinResult(stats, losses, before, after)

    def cosine(self, content: Tensor, style: ChannelStats, text: Tensor) -> Tensor:
        """(P,) similarity to their texts of normalised patches (P, C, h, w) in a style.

        The rest of CLIP wants an image of its input size: the restyled patch is average-pooled
        to the size that such an image has in this layer (64 x 64 to 56 x 56 in FAMix).
        """
        restyled = (content * style.std + style.mean).relu()
        pooled = F.adaptive_avg_pool2d(restyled, self._side)
        features = self._backbone.forward_high({self._backbone.restyled: pooled})
        embedding = self._backbone.embed(features[FEATURES[-1]])
        return F.cosine_similarity(text, embedding)

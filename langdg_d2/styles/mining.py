"""Augment (paper section 4.2): mine local styles of a batch of source images toward text."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..modeling import ClipResNet, PixelNormalization, TextEncoder
from ..modeling.backbone.layers import STRIDES
from ..modeling.folding import fold
from ..structures import PatchGrid
from ..structures.source_names import joined_names
from ..utils.amp import PRECISIONS
from .bank import StyleBank
from .bank_header import BankHeader
from .checking import feature_fingerprint, whole_clip_fingerprint
from .pin import PinSettings, PromptDrivenNormalization
from .prompts import TargetPrompts

# Mining compares with text, for which CLIP needs its attention pooling, and that has positions for
# features of CLIP's own stride alone (paper section 4.2); training has finer ones.
_CLIP_STRIDE = STRIDES[-1]


class PatchChoice(NamedTuple):
    """One patch for each class that is the majority of any.

    Attributes:
        class_ids: ascending.
        places: (image, row, col) of each class's patch.
    """

    class_ids: list[int]
    places: list[tuple[int, int, int]]


def choose_patches(patch_classes: Tensor) -> PatchChoice:
    """The first patch of every class, looking at a cell of all images before the next cell.

    Args:
        patch_classes: (N, rows, cols) uint8; the ignore label counts as a class.
    """
    images, _, cols = patch_classes.shape
    in_order = patch_classes.permute(1, 2, 0).flatten().tolist()
    class_ids = sorted(set(in_order))
    firsts = [in_order.index(class_id) for class_id in class_ids]
    places = [(k % images, k // images // cols, k // images % cols) for k in firsts]
    return PatchChoice(class_ids, places)


def mining_settings(
    settings: Mapping[str, Any], *, prompts: TargetPrompts, pin: PinSettings
) -> dict[str, Any]:
    """What a bank's header remembers of its mining: settings, with prompts and PIN's own."""
    return dict(settings) | {"pin": pin.as_dict(), "prompts": prompts.all()}


class StyleMiner:
    """Mines the styles of batches of labelled images with a frozen CLIP.

    Args:
        clip: the CLIP whose features are restyled, as `load_clip` gives it; it is frozen and its
            image tower is used at CLIP's own stride.
        clip_name: the name or JSON path that `load_clip` was given; a bank remembers it.
        restyled_layer: see `ClipResNet`.
        grid: patches that images are cut into.
        prompts: what patches of a class are mined for; they also tell which classes there are.
        normalize: of the images, as in training.
        pin: how patches are optimised.
        device: where it runs.
    """

    def __init__(
        self,
        *,
        clip: nn.Module,
        clip_name: str,
        restyled_layer: str,
        grid: PatchGrid,
        prompts: TargetPrompts,
        normalize: PixelNormalization,
        pin: PinSettings,
        device: str,
    ) -> None:
        clip = clip.requires_grad_(False).eval().to(device)
        self._backbone = ClipResNet(
            tower=clip.visual,
            output_stride=_CLIP_STRIDE,
            trainable=(),
            restyled_layer=restyled_layer,
            attention_pool=True,
        ).to(memory_format=torch.channels_last)  # several times faster on CPUs
        fold(self._backbone, dtype=PRECISIONS[pin.precision])
        self._text = TextEncoder(clip=clip, name=clip_name)
        self._prompts = prompts
        self._grid = grid
        self._pin_settings = pin
        self._pin = PromptDrivenNormalization(backbone=self._backbone, settings=pin)
        self._normalize = normalize.to(device)
        self._clip_name = Path(clip_name).name.removesuffix(".json")

    def header(
        self, *, source: str | Sequence[str], seed: int, settings: Mapping[str, Any]
    ) -> BankHeader:
        """What the styles mined here belong to.

        Args:
            source: name of the set that is mined, or of several.
            seed: of crops and prompts.
            settings: anything else worth remembering, JSON types.
        """
        return BankHeader(
            clip_name=self._clip_name,
            clip_fingerprint=feature_fingerprint(self._backbone),
            whole_clip_fingerprint=whole_clip_fingerprint(self._backbone),
            layer=self._backbone.restyled_layer,
            channels=self._backbone.restyled_channels,
            grid=(self._grid.rows, self._grid.cols),
            class_names=self._prompts.class_names,
            ignore_label=self._prompts.ignore_label,
            source=joined_names(source),
            seed=seed,
            settings=mining_settings(settings, prompts=self._prompts, pin=self._pin_settings),
        )

    def mine(
        self, images: Tensor, labels: Tensor, *, header: BankHeader, generator: torch.Generator
    ) -> StyleBank:
        """Styles of one patch for every class in a batch.

        Args:
            images: (N, 3, H, W) RGB in 0..255, any device.
            labels: (N, H, W) uint8 train ids.
            header: of the bank that is being made.
            generator: draws the style prompts.

        Returns:
            A bank of as many styles as there are classes, ascending, on the CPU.
        """
        class_ids, places = choose_patches(self._grid.majority(labels))
        prompts = self._prompts.sample(class_ids, generator=generator)
        result = self._pin(self._patches(images, places), self._text.encode(prompts))
        return StyleBank(
            header=header,
            mean=result.stats.mean.flatten(1).cpu(),
            std=result.stats.std.flatten(1).cpu(),
            class_id=torch.tensor(class_ids, dtype=torch.uint8),
            prompts=prompts,
            cosine_before=result.cosine_before.cpu(),
            cosine_after=result.cosine_after.cpu(),
        )

    @torch.no_grad()
    def _patches(self, images: Tensor, places: list[tuple[int, int, int]]) -> Tensor:
        """(P, C, h, w) features; where the grid does not divide evenly, of the smallest size."""
        features = self._backbone.forward_low(self._normalize(images))[self._backbone.restyled]
        cells = self._grid.split(features)
        height = min(cell.shape[-2] for cell in cells)
        width = min(cell.shape[-1] for cell in cells)
        chosen = [
            cells[row * self._grid.cols + col][image, :, :height, :width]
            for image, row, col in places
        ]
        return torch.stack(chosen).contiguous(memory_format=torch.channels_last)

"""Made-up inputs of the right shapes: speed does not depend on what is seen."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..modeling import Backbone
from ..structures import PatchGrid
from ..styles import BankHeader, StyleBank
from ..styles.bank import feature_fingerprint

_REGION = 64  # pixels; labels are constant in squares of this side
_STYLES = 8  # of every class


def random_images(count: int, size: Sequence[int]) -> Tensor:
    """(count, 3, H, W) uint8."""
    return torch.randint(256, (count, 3, *size), dtype=torch.uint8)


def random_labels(count: int, size: Sequence[int], num_classes: int) -> Tensor:
    """(count, H, W) uint8 train ids, in squares."""
    coarse = torch.randint(num_classes, (count, *(-(-side // _REGION) for side in size)))
    fine = coarse.repeat_interleave(_REGION, 1).repeat_interleave(_REGION, 2)
    return fine[:, : size[0], : size[1]].to(torch.uint8)


def training_batch(
    images: int, size: Sequence[int], grid: PatchGrid, num_classes: int, *, pinned: bool
) -> list[dict[str, Any]]:
    """A batch as the training loader gives it."""
    pixels, labels = random_images(images, size), random_labels(images, size, num_classes)
    classes = grid.majority(labels)
    values = {"image": pixels, "sem_seg": labels, "patch_classes": classes}
    if pinned:
        values = {name: value.pin_memory() for name, value in values.items()}
    return [{name: value[k] for name, value in values.items()} for k in range(images)]


def random_bank(
    backbone: Backbone, *, grid: PatchGrid, class_names: Sequence[str], ignore_label: int
) -> StyleBank:
    """A style bank that fits a backbone, with some styles of every class."""
    classes = torch.arange(len(class_names), dtype=torch.uint8).repeat_interleave(_STYLES)
    styles, channels = len(classes), backbone.restyled_channels
    header = BankHeader(
        clip_name="benchmark",
        clip_fingerprint=feature_fingerprint(backbone),
        layer=backbone.restyled_layer,
        channels=channels,
        grid=(grid.rows, grid.cols),
        class_names=tuple(class_names),
        ignore_label=ignore_label,
        source="random numbers",
        seed=None,
    )
    return StyleBank(
        header=header,
        mean=torch.rand(styles, channels),
        std=torch.rand(styles, channels) + 0.5,
        class_id=classes,
        prompts=["random"] * styles,
        cosine_before=torch.zeros(styles),
        cosine_after=torch.zeros(styles),
    )

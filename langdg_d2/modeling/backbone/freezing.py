"""Freeze (paper section 4.1): which layers of CLIP's image tower train.

A frozen layer gets no gradient, and its BatchNorm normalises with CLIP's running statistics without
updating them.
"""

from collections.abc import Sequence

from open_clip.modified_resnet import ModifiedResNet
from torch import nn

from ...utils.errors import LangDGError
from .layer_names import BLOCK_LAYERS

_STEM = ("conv1", "bn1", "conv2", "bn2", "conv3", "bn3")


def layer_groups(tower: ModifiedResNet) -> dict[str, list[nn.Module]]:
    """Partition of the tower's parameters, from input to output.

    Returns:
        Modules by group: `stem`, a group for each block (`layer1.0` to `layer4.2` in RN50), and
        `attnpool` if the tower has it.
    """
    groups: dict[str, list[nn.Module]] = {"stem": [getattr(tower, name) for name in _STEM]}
    for layer in BLOCK_LAYERS:
        for index, block in enumerate(getattr(tower, layer)):
            groups[f"{layer}.{index}"] = [block]
    if isinstance(tower.attnpool, nn.Module):
        groups["attnpool"] = [tower.attnpool]
    return groups


def freeze(tower: ModifiedResNet, *, trainable: Sequence[str]) -> list[nn.Module]:
    """Set `requires_grad` of every parameter of a tower.

    Args:
        tower: CLIP's image tower.
        trainable: groups that train, e.g. `("layer4.2",)`. `layer4.-1` is the last block of
            `layer4` in any tower, `layer4` stands for all its blocks, and `()` freezes everything.

    Returns:
        The frozen modules, which the caller must put back into eval mode after each
        `model.train()`.
    """
    groups = layer_groups(tower)
    names = {group: _names(group, tower) for group in groups}
    if unknown := sorted(set(trainable).difference(*names.values())):
        raise LangDGError(
            f"trainable groups {unknown} do not exist in this tower; there are {list(groups)}, "
            f"whole layers such as '{BLOCK_LAYERS[-1]}', and '{BLOCK_LAYERS[-1]}.-1' for the last "
            "block of one"
        )
    chosen = [group for group in groups if names[group].intersection(trainable)]
    tower.requires_grad_(True)
    frozen = [m for group, modules in groups.items() if group not in chosen for m in modules]
    for module in frozen:
        module.requires_grad_(False)
    return frozen


def _names(group: str, tower: ModifiedResNet) -> set[str]:
    """All names of a group: its own, its layer's, and its index counted from the end."""
    layer, _, index = group.partition(".")
    if not index:
        return {group}
    return {group, layer, f"{layer}.{int(index) - len(getattr(tower, layer))}"}

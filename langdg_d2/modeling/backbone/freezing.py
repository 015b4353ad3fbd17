"""Freeze (paper section 4.1): selection of the layers to train.

A frozen layer gets no gradients, and its BatchNorm uses CLIP's running statistics without updating
them.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from torch import nn

from ...utils.errors import LangDGError


def freeze(
    groups: Mapping[str, Sequence[nn.Module]], *, trainable: Sequence[str]
) -> list[nn.Module]:
    """Set `requires_grad` of every parameter of a tower.

    Args:
        groups: modules by group name; `layer4.2` is block 2 of `layer4`.
        trainable: groups to train, such as `("layer4.2",)`. `layer4.-1` is the last block of
            `layer4`, `layer4` stands for all its blocks, and `()` freezes everything.

    Returns:
        The frozen modules, which the caller must put into eval mode after each `model.train()`.
    """
    blocks = Counter(group.rpartition(".")[0] for group in groups if _is_block(group))
    names = {group: _names(group, blocks) for group in groups}
    if unknown := sorted(set(trainable).difference(*names.values())):
        wholes = "".join(f"; '{x}' stands for all its blocks, '{x}.-1' its last" for x in blocks)
        raise LangDGError(
            f"trainable groups {unknown} do not exist in this tower; there are {list(groups)}"
            f"{wholes}"
        )
    frozen: list[nn.Module] = []
    for group, modules in groups.items():
        trains = bool(names[group].intersection(trainable))
        for module in modules:
            module.requires_grad_(trains)
        frozen += [] if trains else modules
    return frozen


def _names(group: str, blocks: Mapping[str, int]) -> set[str]:
    """Return all names of a group: its own, its layer's, and with its index from the end."""
    layer, _, index = group.rpartition(".")
    own = {layer, f"{layer}.{int(index) - blocks[layer]}"} if _is_block(group) else set()
    return {group, *own}


def _is_block(group: str) -> bool:
    return "." in group and group.rpartition(".")[2].isdecimal()

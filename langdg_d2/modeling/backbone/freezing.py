"""Freeze (paper section 4.1): which layers of CLIP's image tower train, and which do not.

Frozen means two things: no gradient, and BatchNorm that normalises with CLIP's running statistics
and does not update them. The second must survive `model.train()`, which Detectron2's trainers
call: `FrozenLayers.keep_in_eval` belongs at the end of the owner's `train` method.
"""

from collections.abc import Sequence
from itertools import chain

from open_clip.modified_resnet import ModifiedResNet
from torch import nn

from ...utils.errors import LangDGError
from .layers import BLOCK_LAYERS

_STEM = ("conv1", "bn1", "conv2", "bn2", "conv3", "bn3")


def layer_groups(tower: ModifiedResNet) -> dict[str, list[nn.Module]]:
    """Partition of the tower's parameters, from input to output.

    Returns:
        `stem`, `layer1.0` ... `layer4.2` (a group for each block), `attnpool` if it is there.
    """
    groups: dict[str, list[nn.Module]] = {"stem": [getattr(tower, name) for name in _STEM]}
    for layer in BLOCK_LAYERS:
        for index, block in enumerate(getattr(tower, layer)):
            groups[f"{layer}.{index}"] = [block]
    if isinstance(tower.attnpool, nn.Module):
        groups["attnpool"] = [tower.attnpool]
    return groups


class FrozenLayers:
    """The layers of a tower that stay as CLIP left them.

    The constructor sets `requires_grad` of every parameter of the tower, True or False; a second
    call with another choice replaces the first.

    Args:
        tower: CLIP's image tower.
        trainable: names of groups that train, e.g. `("layer4.2",)`, or counted from the end, so
            that `("layer4.-1",)` is the last block of any tower; a layer's name stands for all its
            blocks; `()` freezes everything. A single name may be given as it is.

    Raises:
        LangDGError: if a name is not a group of this tower; lists the groups.
    """

    def __init__(self, tower: ModifiedResNet, *, trainable: str | Sequence[str] | None) -> None:
        if trainable is None:
            raise LangDGError("trainable is null, expected a list of layers; [] freezes everything")
        trainable = [trainable] if isinstance(trainable, str) else trainable
        groups = layer_groups(tower)
        names = {group: _names(group, tower) for group in groups}
        if unknown := sorted(set(trainable).difference(*names.values())):
            raise LangDGError(
                f"trainable groups {unknown} do not exist in this tower; there are "
                f"{list(groups)}, whole layers such as '{BLOCK_LAYERS[-1]}', and "
                f"'{BLOCK_LAYERS[-1]}.-1' for the last block of one"
            )
        chosen = {group for group in groups if names[group] & set(trainable)}
        self._modules = list(
            chain.from_iterable(group for name, group in groups.items() if name not in chosen)
        )
        tower.requires_grad_(True)
        for module in self._modules:
            module.requires_grad_(False)

    def keep_in_eval(self) -> None:
        """Put the frozen layers, and so their BatchNorm, into eval mode."""
        for module in self._modules:
            module.eval()


def _names(group: str, tower: ModifiedResNet) -> set[str]:
    """All names of a group: its own, its layer's, and with its index from the layer's end."""
    layer, _, index = group.partition(".")
    if not index:
        return {group}
    return {group, layer, f"{layer}.{int(index) - len(getattr(tower, layer))}"}

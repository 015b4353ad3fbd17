"""Folding of BatchNorm with fixed statistics into the preceding convolution.

BatchNorm with running statistics is an affine map per channel, which the weights of the convolution
can absorb. This saves one pass over each feature map, and results are equal up to rounding.
Parameters, buffers and state dicts do not change.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from typing import cast

import torch
from open_clip.modified_resnet import Bottleneck, ModifiedResNet
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

# Methods that call the children of a module in registration order.
_IN_ORDER = {kind.forward for kind in (nn.Sequential, ModifiedResNet, Bottleneck)}
_NORMS = (nn.BatchNorm2d, nn.SyncBatchNorm)


def is_traced() -> bool:
    """Whether the model is being traced or compiled; traces use torch's own layers."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()


def fold(model: object) -> ExitStack:
    """Fold every BatchNorm that follows a convolution into the convolution.

    A pair is computed without folding while its BatchNorm is in training mode, its parameters get
    gradients, it has forward hooks, or the model is traced. Fused weights are computed lazily. They
    are recomputed after any of these, after `load_state_dict` and after another `fold`; call `fold`
    again if weights change in another way. Do not replace modules while they are folded, and do not
    call the children of an `nn.Sequential` one by one.

    Args:
        model: model in any mode; other objects than modules are ignored.

    Returns:
        Context manager that unfolds on exit, including earlier folds. Without `with`, the model
        stays folded.
    """
    undo = ExitStack()
    for conv, norm in _pairs(model):
        pair = _FoldedPair(conv, norm)
        for module, forward in ((conv, pair.convolve), (norm, pair.normalize)):
            module.__dict__["forward"] = forward
            undo.callback(module.__dict__.pop, "forward", None)
            undo.callback(module.register_load_state_dict_post_hook(pair.forget).remove)
    return undo


def _pairs(model: object) -> Iterator[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Yield convolutions with the BatchNorms that are known to follow them, and nothing else."""
    parents = list(model.modules()) if isinstance(model, nn.Module) else []
    uses = Counter(child for parent in parents for child in parent._modules.values())
    for parent in parents:
        if type(parent).forward not in _IN_ORDER:
            continue
        for conv, norm in pairwise(parent.children()):
            pair = isinstance(conv, nn.Conv2d) and isinstance(norm, _NORMS)
            if pair and uses[conv] == uses[norm] == 1:  # shared modules may have other neighbours
                yield cast("nn.Conv2d", conv), cast("nn.BatchNorm2d", norm)


class _FoldedPair:
    """Replaces the `forward` of a convolution and of its BatchNorm."""

    def __init__(self, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
        self._conv = conv
        self._norm = norm
        self._fused: tuple[Tensor, Tensor] | None = None

    def convolve(self, x: Tensor) -> Tensor:
        """Replacement of the convolution's `forward`."""
        if not self._is_fixed():
            self.forget()
            return type(self._conv).forward(self._conv, x)
        plain = self._conv.weight
        if self._fused is None or self._fused[0].to(plain) is not self._fused[0]:
            self._fused = self._fuse()  # the model may have moved to another device or dtype
        return self._conv._conv_forward(x, *self._fused)

    def normalize(self, x: Tensor) -> Tensor:
        """Replacement of BatchNorm's `forward`."""
        return x if self._is_fixed() else type(self._norm).forward(self._norm, x)

    def forget(self, *_: object) -> None:
        """Drop the fused weights."""
        self._fused = None

    def _is_fixed(self) -> bool:
        pair = (self._conv, self._norm)
        parameters = (p for module in pair for p in module.parameters())
        trains = torch.is_grad_enabled() and any(p.requires_grad for p in parameters)
        watched = any(m._forward_hooks or m._forward_pre_hooks for m in pair)
        return not (self._norm.training or trains or watched or is_traced())

    # Mining cannot use tensors created in inference mode.
    @torch.inference_mode(False)
    @torch.no_grad()
    def _fuse(self) -> tuple[Tensor, Tensor]:
        conv, norm = self._conv, self._norm
        mean, variance = cast("Tensor", norm.running_mean), cast("Tensor", norm.running_var)
        weight, bias = fuse_conv_bn_weights(
            *(conv.weight, conv.bias, mean, variance, norm.eps, norm.weight, norm.bias)
        )
        return weight.detach(), bias.detach()

"""BatchNorm with fixed statistics, folded into the convolution before it.

A BatchNorm that normalises with running statistics is an affine map of each channel, which the
convolution's weights can hold. Results are equal but for rounding, and a pass over every feature
map is saved. Parameters, buffers and state dicts of a folded model are those of the plain one.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from typing import Any, cast

import torch
from open_clip.modified_resnet import Bottleneck, ModifiedResNet
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_weights

_NORMS = (nn.BatchNorm2d, nn.SyncBatchNorm)


def fold(model: object, *, frozen_only: bool = False) -> ExitStack:
    """Compute every convolution and the BatchNorm behind it as one convolution.

    A pair whose BatchNorm is in training mode or whose parameters get gradients is computed
    plainly, and so is one with forward hooks or in a trace. The fused weights are made when they
    are first needed, and anew after such plain computing and after `load_state_dict`; weights that
    are changed otherwise need another `fold`.

    Args:
        model: in any mode; what is not a module, and all other layers, are left alone.
        frozen_only: leave out pairs with a parameter that requires gradients, for training.

    Returns:
        Context manager that ends it, for `with fold(model):`; otherwise the model stays folded.
    """
    undo = ExitStack()
    for parent, conv, norm in _pairs(model):
        earlier = getattr(conv.__dict__.get("forward"), "__self__", None)
        if isinstance(earlier, _FoldedPair) and earlier.covers(norm, frozen_only):
            earlier.forget()
        else:
            _FoldedPair(parent, conv, norm, frozen_only).install(undo)
    return undo


def _pairs(model: object) -> Iterator[tuple[nn.Module, nn.Conv2d, _BatchNorm]]:
    """Modules, their convolutions, and BatchNorms that are certain to be called behind these."""
    for parent in model.modules() if isinstance(model, nn.Module) else ():
        in_order = type(parent).forward is nn.Sequential.forward
        if in_order or isinstance(parent, ModifiedResNet | Bottleneck):
            for conv, norm in pairwise(parent.children()):
                is_usual = type(conv).forward is nn.Conv2d.forward and type(norm) in _NORMS
                if is_usual and norm.running_mean is not None:
                    yield parent, cast("nn.Conv2d", conv), cast("_BatchNorm", norm)


class _FoldedPair:
    """Takes the place of both modules' `forward`."""

    def __init__(
        self, parent: nn.Module, conv: nn.Conv2d, norm: _BatchNorm, frozen_only: bool
    ) -> None:
        self._parent = parent
        self._conv = conv
        self._norm = norm
        self._frozen_only = frozen_only
        self._fused: tuple[Tensor, Tensor] | None = None

    def covers(self, norm: _BatchNorm, frozen_only: bool) -> bool:
        """Whether this folds a BatchNorm in the same way."""
        return self._norm is norm and self._frozen_only == frozen_only

    def install(self, undo: ExitStack) -> None:
        for module, forward in ((self._conv, self.convolve), (self._norm, self.normalize)):
            undo.callback(_restore, module, module.__dict__.get("forward"))
            undo.callback(module.register_load_state_dict_post_hook(self.forget).remove)
            module.__dict__["forward"] = forward

    def convolve(self, x: Any) -> Tensor:
        """In the place of the convolution."""
        if not self._is_fixed():
            self._fused = None
            return type(self._conv).forward(self._conv, x)
        weight, bias = self._fused or self._fuse()
        if (weight.dtype, weight.device) != (self._dtype(), self._conv.weight.device):
            weight, bias = self._fuse()
        return self._conv._conv_forward(x, weight, bias)

    def normalize(self, x: Tensor) -> Tensor:
        """In the place of the BatchNorm."""
        return x if self._is_fixed() else type(self._norm).forward(self._norm, x)

    def forget(self, *_: object) -> None:
        """Drop the fused weights."""
        self._fused = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_fused": None}  # copies and files hold the plain weights only

    def _is_fixed(self) -> bool:
        pair = (self._conv, self._norm)
        may_train = self._frozen_only or torch.is_grad_enabled()
        trains = may_train and any(p.requires_grad for m in pair for p in m.parameters())
        watched = any(m._forward_hooks or m._forward_pre_hooks for m in pair)
        traced = torch.compiler.is_compiling() or torch.jit.is_tracing()
        replaced = all(m is not self._norm for m in self._parent._modules.values())
        return not (self._norm.training or trains or watched or traced or replaced)

    def _fuse(self) -> tuple[Tensor, Tensor]:
        conv, norm = self._conv, self._norm
        mean, variance = cast("Tensor", norm.running_mean), cast("Tensor", norm.running_var)
        # What inference mode makes could not be used outside of it.
        with torch.inference_mode(False), torch.no_grad():
            fused = fuse_conv_bn_weights(
                *(conv.weight, conv.bias, mean, variance, norm.eps, norm.weight, norm.bias)
            )
            weight, bias = (values.detach().to(self._dtype()) for values in fused)
        self._fused = weight, bias
        return self._fused

    def _dtype(self) -> torch.dtype:
        """What the convolution computes in; autocast leaves double precision alone."""
        weight = self._conv.weight
        lowers = torch.is_autocast_enabled(weight.device.type) and weight.dtype is not torch.float64
        return torch.get_autocast_dtype(weight.device.type) if lowers else weight.dtype


def _restore(module: nn.Module, forward: Any) -> None:
    if forward is None:
        del module.__dict__["forward"]
    else:  # of a fold around this one
        forward.__self__.forget()
        module.__dict__["forward"] = forward

"""Fixed BatchNorm folded into the convolution before it: what frozen layers run on.

A BatchNorm that normalises with running statistics is an affine map of each channel, which the
weights of the convolution before it can hold. Results are equal but for rounding, and a pass over
every feature map is saved.
"""

from collections.abc import Callable
from copy import deepcopy
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .fast_paths import fast_paths

_PROGRAMS = 256  # of all layers, for sizes, precisions and modes


def fold_batch_norm(module: nn.Module) -> nn.Module:
    """A copy in eval mode without gradients, whose BatchNorms are part of convolutions.

    A BatchNorm is folded where it is registered directly after a convolution; in CLIP's ResNets and
    in the head these are all there are.
    """
    copy = deepcopy(module).eval().requires_grad_(False)
    for parent in list(copy.modules()):
        for (name, conv), (norm_name, norm) in pairwise(list(parent.named_children())):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, _BatchNorm):
                setattr(parent, name, fuse_conv_bn_eval(conv, norm))
                setattr(parent, norm_name, nn.Identity())
    return copy.requires_grad_(False)


class FoldedRuntime:
    """Calls a module, by way of a folded copy of all in it that does not train.

    It is no module: state dicts, and copies of the model that holds it, know nothing of it. The
    folded copy is made when it is first needed, and anew when the module's tensors are others or
    were written to. Under autocast it has the lower precision, so that weights are not converted
    in every call.

    Attributes:
        compiler: backend of `torch.compile` for folded copies, such as "inductor"; "" for none.

    NOTE: what is not noticed is writing through `.data`, and other settings of a layer that has run
    already, such as its dilation; a deep copy of the model starts afresh.
    """

    def __init__(self, compiler: str = "") -> None:
        self.compiler = compiler
        self._copy: tuple[_Origin, Callable[[Any], Tensor]] | None = None
        self._programs: dict[torch.dtype, tuple[nn.Module, Callable[[Any], Tensor]]] = {}
        self._parts: dict[str, FoldedRuntime] = {}

    def __call__(self, module: nn.Module, x: Any) -> Tensor:
        """What `module(x)` gives; a runtime is for one module, which may be replaced."""
        empty = next(module.parameters(), None) is None
        if empty or not fast_paths() or _is_watched(module):
            return module(x)
        if _trains(module):
            self._copy = None
            return self._call_parts(module, x) if type(module) is nn.Sequential else module(x)
        return self._folded(module)(x)

    def _call_parts(self, module: nn.Sequential, x: Any) -> Tensor:
        for name, part in module.named_children():
            x = self._parts.setdefault(name, FoldedRuntime(self.compiler))(part, x)
        return x

    def _folded(self, module: nn.Module) -> Callable[[Any], Tensor]:
        origin = _Origin.of(module)
        known = self._copy  # another thread may change it
        if known is None or known[0] != origin:
            # A copy that inference mode makes could not be used outside of it.
            with torch.inference_mode(False), torch.no_grad():
                folded = fold_batch_norm(module).to(origin.dtype)
            self._copy = known = origin, self._compiled(folded) if self.compiler else folded
        return known[1]

    def _compiled(self, folded: nn.Module) -> Callable[[Any], Tensor]:
        """Compiling takes minutes: what has been compiled before takes the new values over."""
        dtype = next(folded.parameters()).dtype
        known = self._programs.get(dtype)
        if known is None or not _alike(known[0], folded):
            _allow_programs()
            known = folded, torch.compile(folded, backend=self.compiler)
            self._programs[dtype] = known
        with torch.inference_mode(False):
            known[0].load_state_dict(folded.state_dict())
        return known[1]

    def __deepcopy__(self, memo: dict[int, Any]) -> "FoldedRuntime":
        return FoldedRuntime(self.compiler)

    def __reduce__(self) -> tuple[type["FoldedRuntime"], tuple[str]]:
        return FoldedRuntime, (self.compiler,)


def _allow_programs() -> None:
    """torch gives up compiling what it has compiled often, and counts all modules together."""
    limit = torch._dynamo.config.recompile_limit
    torch._dynamo.config.recompile_limit = max(limit, _PROGRAMS)


def _alike(a: nn.Module, b: nn.Module) -> bool:
    shapes_and_places = (
        [(name, t.shape, t.device) for name, t in module.state_dict().items()] for module in (a, b)
    )
    return next(shapes_and_places) == next(shapes_and_places)


class _Origin:
    """What a copy is made of: a type, and tensors as they are now."""

    def __init__(self, dtype: torch.dtype, tensors: list[Tensor]) -> None:
        self.dtype = dtype
        self._tensors = tensors  # held, so that no others take their places in memory
        self._states = [
            (t.data_ptr(), 0 if t.is_inference() else t._version)  # of inference: never written to
            for t in tensors
        ]

    @classmethod
    def of(cls, module: nn.Module) -> "_Origin":
        """Of a module, in the type that it computes in."""
        return cls(_precision(module), [*module.parameters(), *module.buffers()])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Origin) or len(self._tensors) != len(other._tensors):
            return NotImplemented
        same = all(a is b for a, b in zip(self._tensors, other._tensors, strict=True))
        return same and (self.dtype, self._states) == (other.dtype, other._states)


def _trains(module: nn.Module) -> bool:
    """Whether it computes otherwise in training, or gradients of parameters are wanted."""
    if any(m.training for m in module.modules() if isinstance(m, (_BatchNorm, _DropoutNd))):
        return True
    return torch.is_grad_enabled() and any(p.requires_grad for p in module.parameters())


def _is_watched(module: nn.Module) -> bool:
    """Whether hooks want to see its own layers at work."""
    return any(m._forward_hooks or m._forward_pre_hooks for m in module.modules())


def _precision(module: nn.Module) -> torch.dtype:
    weight = next(module.parameters())
    device = weight.device.type
    # Autocast leaves double precision alone.
    lowers = torch.is_autocast_enabled(device) and weight.dtype is not torch.float64
    return torch.get_autocast_dtype(device) if lowers else weight.dtype

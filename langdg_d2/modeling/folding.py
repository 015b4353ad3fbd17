"""Fixed BatchNorm folded into the convolution before it: what frozen layers run on.

A BatchNorm that normalises with running statistics is an affine map of each channel, which the
weights of the convolution before it can hold. Results are equal but for rounding, and a pass over
every feature map is saved.

A model computes plainly until it is folded, and again after. Who folds says from where to where the
weights stay as they are: the trainer for frozen layers, an evaluation for all of a model.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .fast_paths import fast_paths

_PROGRAMS = 256  # of all layers, for sizes, precisions and modes


def fold(model: object, *, dtype: torch.dtype, frozen_only: bool = False) -> None:
    """Call folded copies of a model's layers from now on; earlier copies are dropped.

    A copy is made when a layer is next called, and anew after `load_state_dict`. Code that writes
    to weights of a folded layer otherwise, replaces it, or trains it without calling it through its
    model, has to fold again. A layer that trains
    (in training mode, or with gradients of its own) is never called through a copy, nor is one
    with forward hooks in it, nor any while a graph is traced.

    Args:
        model: a module with `Folds` in it, on its device; others are left alone.
        dtype: that the model computes in, autocast's where it is on; calls in another are plain.
        frozen_only: only layers without a parameter that requires gradients: in training.
    """
    for folds in _all_folds(model):
        folds.begin(_Plan(dtype, frozen_only))


@contextmanager
def folded(model: object, *, dtype: torch.dtype, frozen_only: bool = False) -> Iterator[None]:
    """`fold` for the time of a block; what was folded before is folded anew at its end."""
    earlier = [(folds, folds.plan) for folds in _all_folds(model)]
    fold(model, dtype=dtype, frozen_only=frozen_only)
    try:
        yield
    finally:
        for folds, plan in earlier:
            folds.begin(plan)


def compile_folded(model: object, backend: str) -> None:
    """Compile copies when they are made.

    Args:
        model: a module with `Folds` in it.
        backend: of `torch.compile`, such as "inductor"; "" for none.
    """
    for folds in _all_folds(model):
        folds.compiler = backend
        folds.begin(folds.plan)


class _Plan(NamedTuple):
    dtype: torch.dtype
    frozen_only: bool

    def covers(self, layer: nn.Module) -> bool:
        """Whether a layer computes as its folded copy would, as it is called now."""
        if any(m.training for m in layer.modules() if isinstance(m, (_BatchNorm, _DropoutNd))):
            return False
        trains = self.frozen_only or torch.is_grad_enabled()
        return not (trains and any(p.requires_grad for p in layer.parameters()))


class Folds:
    """Folded copies of some layers, for the module that calls them: `folds("name", layer, x)`.

    It is not a module: state dicts know nothing of it, and copies of the model that holds it (by
    `deepcopy` or `pickle`) are not folded.

    Args:
        owner: holds the layers; when weights are loaded into any part of it, copies are dropped.

    Attributes:
        plan: how layers are folded; None: not at all.
        compiler: see `compile_folded`.
    """

    def __init__(self, owner: nn.Module | None = None) -> None:
        self.plan: _Plan | None = None
        self.compiler = ""
        self._copies: dict[str, Callable[[Any], Tensor]] = {}
        self._programs: dict[tuple[str, torch.dtype], tuple[nn.Module, Any]] = {}
        for module in owner.modules() if owner else ():
            module.register_load_state_dict_post_hook(self._drop)

    def begin(self, plan: _Plan | None) -> None:
        """Fold by a plan; drops all copies."""
        self.plan = plan
        self._copies = {}

    def _drop(self, *_: object) -> None:
        self._copies = {}

    def __call__(self, name: str, layer: nn.Module, x: Any) -> Tensor:
        """What `layer(x)` gives.

        Args:
            name: of the layer; always the same one, without dots.
            layer: where only a part of an `nn.Sequential` can be folded, that part is.
        """
        plan = self.plan
        if plan is None:
            return layer(x)
        covered = plan.covers(layer)
        if not fast_paths() or _is_watched(layer) or _dtype(layer) != plan.dtype:
            if not covered:  # its weights and those of its parts may change now
                parts = f"{name}."
                self._copies = {
                    k: v for k, v in self._copies.items() if not f"{k}.".startswith(parts)
                }
            return layer(x)
        if covered:
            copies = self._copies  # another thread may change them
            if name not in copies:
                copies[name] = self._folded(name, layer, plan.dtype)
            return copies[name](x)
        self._copies.pop(name, None)  # its weights may change now
        if type(layer) is not nn.Sequential:
            return layer(x)
        for part_name, part in layer.named_children():
            x = self(f"{name}.{part_name}", part, x)
        return x

    def _folded(self, name: str, layer: nn.Module, dtype: torch.dtype) -> Callable[[Any], Tensor]:
        # A copy that inference mode makes could not be used outside of it.
        with torch.inference_mode(False), torch.no_grad():
            copy = fold_batch_norm(layer).to(dtype)
            return self._compiled((name, dtype), copy) if self.compiler else copy

    def _compiled(self, key: tuple[str, torch.dtype], copy: nn.Module) -> Callable[[Any], Tensor]:
        """Compiling takes minutes: what has been compiled before takes the new values over."""
        known = self._programs.get(key)
        if known is None or not _alike(known[0], copy):
            _allow_programs()
            known = copy, torch.compile(copy, backend=self.compiler)
            self._programs[key] = known
        known[0].load_state_dict(copy.state_dict())
        return known[1]

    def __reduce__(self) -> tuple[type["Folds"], tuple[()], dict[str, str]]:
        return Folds, (), {"compiler": self.compiler}


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


def _all_folds(model: object) -> list[Folds]:
    modules = model.modules() if isinstance(model, nn.Module) else ()
    found = (getattr(module, "folds", None) for module in modules)
    return [folds for folds in found if isinstance(folds, Folds)]


def _is_watched(layer: nn.Module) -> bool:
    """Whether hooks want to see its own parts at work."""
    return any(m._forward_hooks or m._forward_pre_hooks for m in layer.modules())


def _dtype(layer: nn.Module) -> torch.dtype | None:
    """That it computes in; None for a layer without weights."""
    weight = next(layer.parameters(), None)
    if weight is None:
        return None
    device = weight.device.type
    # Autocast leaves double precision alone.
    lowers = torch.is_autocast_enabled(device) and weight.dtype is not torch.float64
    return torch.get_autocast_dtype(device) if lowers else weight.dtype


def _allow_programs() -> None:
    """torch gives up compiling what it has compiled often, and counts all modules together."""
    limit = torch._dynamo.config.recompile_limit
    torch._dynamo.config.recompile_limit = max(limit, _PROGRAMS)


def _alike(a: nn.Module, b: nn.Module) -> bool:
    shapes_and_places = (
        [(name, t.shape, t.device) for name, t in module.state_dict().items()] for module in (a, b)
    )
    return next(shapes_and_places) == next(shapes_and_places)

"""What is optimised, and how fast: parameter groups and the learning rate's course."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from copy import copy
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from ..utils.errors import LangDGError

_NEW_RUN = "begin a new run from its weights (train.init_checkpoint, without --resume)"


def parameter_groups(
    model: nn.Module, *, base_lr: float, backbone_lr_factor: float
) -> list[dict[str, Any]]:
    """Two groups of trainable parameters: the backbone, and everything else.

    Args:
        model: has a `backbone`; parameters without gradient are left out.
        base_lr: learning rate of everything but the backbone.
        backbone_lr_factor: what the backbone's learning rate is of `base_lr`; FAMix uses 0.1.

    Returns:
        Groups for a torch optimizer, with `lr`; a group without parameters is left out.

    Raises:
        LangDGError: if nothing is trainable, or a learning rate would not be positive.
    """
    if not (base_lr > 0 and backbone_lr_factor > 0):
        raise LangDGError(
            f"learning rate {base_lr} and the backbone's factor {backbone_lr_factor} must be "
            "positive; name the layers that learn in the backbone's `trainable`"
        )
    backbone: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            (backbone if name.startswith("backbone.") else rest).append(parameter)
    groups = [
        {"params": backbone, "lr": base_lr * backbone_lr_factor},
        {"params": rest, "lr": base_lr},
    ]
    filled = [group for group in groups if group["params"]]
    if not filled:
        raise LangDGError("the model has no trainable parameter; check the backbone's `trainable`")
    return filled


def polynomial_lr(optimizer: Optimizer, *, max_iter: int, power: float, min_lr: float) -> LambdaLR:
    """Polynomial decay, `lr * (1 - iteration / max_iter) ** power`, never below a floor.

    Args:
        optimizer: its groups' learning rates are the starting points.
        max_iter: iterations until the decay reaches zero; positive.
        power: 0.9 in FAMix; not negative.
        min_lr: absolute floor of every group's learning rate; not negative.

    Raises:
        LangDGError: if a number is out of range, or a group's learning rate is not positive.
    """
    if max_iter <= 0:
        raise LangDGError(f"max_iter {max_iter} of the learning rate's decay must be positive")
    if power < 0 or min_lr < 0:
        raise LangDGError(f"power {power} and min_lr {min_lr} of the decay must not be negative")
    if not all(group["lr"] > 0 for group in optimizer.param_groups):
        rates = [group["lr"] for group in optimizer.param_groups]
        raise LangDGError(f"learning rates {rates} cannot decay; start from positive ones")

    def factor_above(floor: float) -> Callable[[int], float]:
        return lambda iteration: max(max(0.0, 1.0 - iteration / max_iter) ** power, floor)

    floors = [min_lr / group["lr"] for group in optimizer.param_groups]
    return LambdaLR(optimizer, [factor_above(floor) for floor in floors])


def resumed_state(optimizer: Optimizer, saved: Mapping[str, Any]) -> dict[str, Any]:
    """State to load into an optimizer: an earlier one's, with this one's settings.

    Args:
        optimizer: gives rates, momentum, weight decay and the like.
        saved: state of the earlier one; gives momenta and counts of steps.

    Raises:
        LangDGError: if the earlier one trained another number of tensors, or its state lacks what
            this one needs.
    """
    groups = optimizer.state_dict()["param_groups"]
    sizes, earlier = ([len(g["params"]) for g in gs] for gs in (groups, saved["param_groups"]))
    if sizes != earlier:
        raise LangDGError(
            f"the earlier run trained {earlier} tensors by learning rate, this one trains {sizes}: "
            f"let the same layers learn (model.backbone.trainable), or {_NEW_RUN}"
        )
    needed = _state_names(optimizer)
    for kept in saved["state"].values():
        if kept and (missing := sorted(needed - {k for k, v in kept.items() if v is not None})):
            raise LangDGError(
                f"the earlier optimizer's state holds {sorted(kept)}, but not {missing}, "
                f"which {type(optimizer).__name__} needs with these settings: leave the optimizer "
                f"as it was, or {_NEW_RUN}"
            )
    return {"state": saved["state"], "param_groups": groups}


def _state_names(optimizer: Optimizer) -> set[str]:
    """Names of what an optimizer keeps of a parameter, found by a step on one of its own.

    Empty where that cannot be known, as some optimizers need more than gradients for a step.
    """
    group = optimizer.param_groups[0]
    parameter = nn.Parameter(torch.zeros_like(group["params"][0]))
    parameter.grad = torch.zeros_like(parameter)
    probe = copy(optimizer)
    probe.param_groups = [{**group, "params": [parameter]}]
    probe.state = defaultdict(dict)
    try:
        probe.step()
    except Exception:
        return set()
    return set(probe.state[parameter])

"""Parameter groups, learning rate and weight decay schedules, and gradient clipping."""

from collections.abc import Callable, Mapping
from typing import Any

from detectron2.engine import HookBase
from fvcore.common.param_scheduler import CosineParamScheduler
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from ..utils.errors import LangDGError, require_int


def parameter_groups(
    model: nn.Module, *, base_lr: float, backbone_lr_factor: float, layer_decay: float = 1.0
) -> list[dict[str, Any]]:
    """Group the trainable parameters of backbone and other modules for a torch optimizer.

    Args:
        model: model with a `backbone`.
        base_lr: learning rate of everything except the backbone.
        backbone_lr_factor: learning rate of the backbone relative to `base_lr`; 0.1 in FAMix.
        layer_decay: learning rate of each of the backbone's layer groups relative to the next one
            toward the output, in (0, 1]; the last one has the backbone's learning rate.

    Returns:
        Non-empty groups with their `lr`, from input to output.
    """
    if not (base_lr > 0 and backbone_lr_factor > 0):
        raise LangDGError(
            f"learning rate {base_lr} and the backbone's factor {backbone_lr_factor} must be "
            "positive; freeze layers with the backbone's `trainable` instead"
        )
    if not 0 < layer_decay <= 1:
        raise LangDGError(f"layer_decay is {layer_decay}, expected a value in (0, 1]")
    decays = {} if layer_decay == 1 else _layer_decays(model.backbone, layer_decay)
    by_factor: dict[float, list[nn.Parameter]] = {}
    rest: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and name.startswith("backbone."):
            by_factor.setdefault(decays.get(id(parameter), 1.0), []).append(parameter)
        elif parameter.requires_grad:
            rest.append(parameter)
    groups: list[dict[str, Any]] = [
        {"params": by_factor[factor], "lr": base_lr * backbone_lr_factor * factor}
        for factor in sorted(by_factor)
    ]
    groups += [{"params": rest, "lr": base_lr}] if rest else []
    if not groups:
        raise LangDGError("the model has no trainable parameters; check the backbone's `trainable`")
    return groups


def _layer_decays(backbone: Any, decay: float) -> dict[int, float]:
    """Return the learning rate factors of a backbone's parameters by their ids."""
    groups = backbone.layer_groups().values()
    return {
        id(parameter): decay**distance
        for distance, modules in enumerate(reversed(groups))
        for module in modules
        for parameter in module.parameters()
    }


def polynomial_lr(
    optimizer: Optimizer, *, max_iter: int, power: float, min_lr: float, warmup_iters: int = 0
) -> LambdaLR:
    """Build a polynomial schedule, `lr * (1 - iteration / max_iter) ** power`, with a minimum.

    Args:
        optimizer: optimizer whose groups have the initial learning rates.
        max_iter: number of iterations until the decay reaches zero.
        power: exponent; 0.9 in FAMix.
        min_lr: minimum learning rate of every group.
        warmup_iters: number of first iterations in which the rate is also multiplied by a factor
            that rises linearly from 0 to 1.
    """
    if power < 0 or min_lr < 0:
        raise LangDGError(f"power {power} and min_lr {min_lr} of the decay must not be negative")
    require_int("lr_scheduler.warmup_iters", warmup_iters, 0)

    def factor_above(floor: float) -> Callable[[int], float]:
        def factor(iteration: int) -> float:
            decay = max(0.0, 1.0 - iteration / max_iter) ** power
            warmth = min(1.0, iteration / warmup_iters) if warmup_iters else 1.0
            return max(decay * warmth, floor)

        return factor

    floors = [min_lr / group["lr"] for group in optimizer.param_groups]
    return LambdaLR(optimizer, [factor_above(floor) for floor in floors])


class CosineWeightDecay(HookBase):
    """Cosine schedule for the weight decay of all groups with non-zero weight decay.

    Args:
        final: weight decay at the end of training, such as 1e-5 in SoMA. It starts from the
            optimizer's weight decay.
    """

    def __init__(self, *, final: float) -> None:
        if final < 0:
            raise LangDGError(f"final weight decay {final} must not be negative")
        self._final = final
        self._schedules: list[tuple[dict[str, Any], CosineParamScheduler]] = []

    def before_train(self) -> None:
        self._schedules = [
            (group, CosineParamScheduler(group["weight_decay"], self._final))
            for group in self.trainer.optimizer.param_groups
            if group["weight_decay"]
        ]

    def before_step(self) -> None:
        for group, schedule in self._schedules:
            group["weight_decay"] = schedule(self.trainer.iter / self.trainer.max_iter)


class GradientClipping(HookBase):
    """Clips gradients by their total norm.

    Args:
        max_norm: maximum Euclidean norm of all gradients together, such as 0.01 in Mask2Former.
    """

    def __init__(self, *, max_norm: float) -> None:
        if max_norm <= 0:
            raise LangDGError(f"max_norm {max_norm} of gradients must be positive")
        self._max_norm = max_norm

    def after_backward(self) -> None:
        groups = self.trainer.optimizer.param_groups
        nn.utils.clip_grad_norm_([p for g in groups for p in g["params"]], self._max_norm)


def resumed_state(optimizer: Optimizer, saved: Mapping[str, Any]) -> dict[str, Any]:
    """Combine the saved momenta and steps with the current settings of an optimizer.

    Returns:
        A state for `Optimizer.load_state_dict`.
    """
    groups = [
        {**own, "params": earlier["params"]}  # torch checks their number
        for own, earlier in zip(
            optimizer.state_dict()["param_groups"], saved["param_groups"], strict=True
        )
    ]
    return {"state": saved["state"], "param_groups": groups}

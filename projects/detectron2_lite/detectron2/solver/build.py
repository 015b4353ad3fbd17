"""Parameter groups of an optimizer."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

_NORM_LAYERS = (_BatchNorm, _InstanceNorm, nn.GroupNorm, nn.LayerNorm, nn.LocalResponseNorm)


def get_default_optimizer_params(
    model: nn.Module,
    base_lr: float | None = None,
    weight_decay: float | None = None,
    weight_decay_norm: float | None = None,
    bias_lr_factor: float | None = 1.0,
    weight_decay_bias: float | None = None,
    lr_factor_func: Callable[[str], float] | None = None,
    overrides: Mapping[str, Mapping[str, float]] | None = None,
) -> list[dict[str, Any]]:
    """The trainable parameters in groups of equal settings; what is None is the optimizer's.

    Args:
        weight_decay_norm: for the parameters of normalization layers.
        bias_lr_factor, weight_decay_bias: for parameters called "bias".
        lr_factor_func: from a parameter's full name to a factor on ``base_lr``.
        overrides: settings by a parameter's own name (the last part), which win over the others.

    Raises:
        ValueError: if a factor is given without ``base_lr``, or "bias" is set in two ways.
    """
    by_name = {name: dict(settings) for name, settings in (overrides or {}).items()}
    bias = {} if weight_decay_bias is None else {"weight_decay": weight_decay_bias}
    if bias_lr_factor not in (None, 1.0):
        if base_lr is None:
            raise ValueError("bias_lr_factor requires base_lr")
        bias["lr"] = base_lr * bias_lr_factor
    if bias and "bias" in by_name:
        raise ValueError(f"'bias' is set both by overrides, {by_name['bias']}, and by {bias}")
    if bias:
        by_name["bias"] = bias
    if lr_factor_func is not None and base_lr is None:
        raise ValueError("lr_factor_func requires base_lr")

    groups: dict[tuple[tuple[str, float], ...], list[nn.Parameter]] = {}
    seen: set[nn.Parameter] = set()
    for module_name, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            if not parameter.requires_grad or parameter in seen:
                continue
            seen.add(parameter)
            settings = {"lr": base_lr, "weight_decay": weight_decay}
            if isinstance(module, _NORM_LAYERS) and weight_decay_norm is not None:
                settings["weight_decay"] = weight_decay_norm
            if lr_factor_func is not None and base_lr is not None:
                settings["lr"] = base_lr * lr_factor_func(f"{module_name}.{name}")
            settings.update(by_name.get(name, {}))
            given = tuple((key, value) for key, value in settings.items() if value is not None)
            groups.setdefault(given, []).append(parameter)
    return [{**dict(settings), "params": parameters} for settings, parameters in groups.items()]

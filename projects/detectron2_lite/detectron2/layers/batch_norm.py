"""Normalization layers and their short names."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from detectron2.utils import comm
from fvcore.nn.distributed import differentiable_all_reduce
from torch import nn
from torch.nn import functional as F


def _per_channel(vector: torch.Tensor) -> torch.Tensor:
    return vector.reshape(1, -1, 1, 1)


class FrozenBatchNorm2d(nn.Module):
    """Batch normalization with fixed statistics and affine part, all of them buffers.

    Starts as the identity. The names in the state dict are those of ``nn.BatchNorm2d``.
    """

    _version = 3
    weight: torch.Tensor
    bias: torch.Tensor
    running_mean: torch.Tensor
    running_var: torch.Tensor

    def __init__(self, num_features: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        identity = {"weight": 1.0, "bias": 0.0, "running_mean": 0.0, "running_var": 1.0 - eps}
        for name, value in identity.items():
            self.register_buffer(name, torch.full((num_features,), value))
        self.register_buffer("num_batches_tracked", None)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) → the same shape and dtype."""
        if not x.requires_grad:
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        # Scale and shift spell out the same map, whose backward pass then needs no memory for
        # gradients of the buffers, as that of F.batch_norm would.
        scale = self.weight * torch.rsqrt(self.running_var + self.eps)
        shift = self.bias - self.running_mean * scale
        return x * _per_channel(scale).to(x.dtype) + _per_channel(shift).to(x.dtype)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, local_metadata: dict[str, Any], *args: Any
    ) -> None:
        version = local_metadata.get("version")
        if version is None or version < 2:  # early checkpoints hold the affine part only
            mean, var = prefix + "running_mean", prefix + "running_var"
            state_dict.setdefault(mean, torch.zeros_like(self.running_mean))
            state_dict.setdefault(var, torch.ones_like(self.running_var))
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)

    def __repr__(self) -> str:
        return f"FrozenBatchNorm2d(num_features={self.num_features}, eps={self.eps})"

    @classmethod
    def convert_frozen_batchnorm(cls, module: nn.Module) -> nn.Module:
        """Freeze every (Sync)BatchNorm2d below ``module``, in place; returns the new root."""

        def freeze(layer: nn.BatchNorm2d) -> nn.Module:
            frozen = cls(layer.num_features, layer.eps)
            for name, tensor in layer.state_dict().items():
                setattr(frozen, name, tensor.clone())
            return frozen

        return _replace(module, (nn.BatchNorm2d, nn.SyncBatchNorm), freeze)

    @classmethod
    def convert_frozenbatchnorm2d_to_batchnorm2d(cls, module: nn.Module) -> nn.Module:
        """The way back: a trainable BatchNorm2d of equal values for every frozen layer."""

        def thaw(layer: FrozenBatchNorm2d) -> nn.Module:
            batch_norm = nn.BatchNorm2d(layer.num_features, layer.eps)
            # not strict, since a layer that was made frozen has counted no batches
            batch_norm.load_state_dict(layer.state_dict(), strict=False)
            return batch_norm

        return _replace(module, (FrozenBatchNorm2d,), thaw)


def _replace(
    module: nn.Module, kinds: tuple[type[nn.Module], ...], new: Callable[[Any], nn.Module]
) -> nn.Module:
    """Put ``new(layer)`` in the place of every layer of these kinds; returns the new root."""
    if isinstance(module, kinds):
        return new(module)
    for name, child in module.named_children():
        replacement = _replace(child, kinds, new)
        if replacement is not child:
            setattr(module, name, replacement)
    return module


class NaiveSyncBatchNorm(nn.BatchNorm2d):
    """Batch normalization over the batches of all processes; also works without CUDA.

    The processes' statistics count the same, or by their batch size with ``stats_mode="N"``,
    which also allows empty batches.
    """

    momentum: float
    running_mean: torch.Tensor
    running_var: torch.Tensor

    def __init__(self, *args: Any, stats_mode: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        assert stats_mode in ("", "N"), f'stats_mode is {stats_mode!r}, expected "" or "N"'
        self._stats_mode = stats_mode

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) → the same shape and dtype; in training, updates the running statistics."""
        if comm.get_world_size() == 1 or not self.training:
            return super().forward(input)
        dtype = input.dtype
        if dtype == torch.float16:
            input = input.float()  # half precision is too coarse for the sums
        mean, mean_square, momentum = self._global_moments(input)
        var = mean_square - mean.square()
        scale = self.weight * torch.rsqrt(var + self.eps)
        shift = self.bias - mean * scale
        self.running_mean.lerp_(mean.detach(), momentum)
        self.running_var.lerp_(var.detach(), momentum)
        return (input * _per_channel(scale) + _per_channel(shift)).to(dtype)

    def _global_moments(
        self, input: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | float]:
        """Mean and mean square per channel, each (C,), and the momentum to use them with."""
        batch_size, channels = input.shape[:2]
        moments = [input.mean(dim=(0, 2, 3)), input.square().mean(dim=(0, 2, 3))]
        if self._stats_mode == "":
            assert batch_size > 0, 'NaiveSyncBatchNorm(stats_mode="") got an empty batch; use "N"'
            total = differentiable_all_reduce(torch.cat(moments))
            mean, mean_square = (total / dist.get_world_size()).split(channels)
            return mean, mean_square, self.momentum
        if batch_size == 0:
            # not the means of nothing, which are nan, but zeros that still depend on the input
            weighted = input.new_zeros(2 * channels + 1) + input.sum()
        else:
            weighted = torch.cat([*moments, input.new_ones(1)]) * batch_size
        total = differentiable_all_reduce(weighted)
        count = total[-1].detach()
        mean, mean_square, _ = (total / count.clamp(min=1)).split(channels)
        # no update where all batches are empty
        return mean, mean_square, count.clamp(max=1) * self.momentum


class LayerNorm(nn.Module):
    """Layer normalization over the channels of each pixel."""

    def __init__(self, normalized_shape: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.normalized_shape = (normalized_shape,)
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(self.normalized_shape))
        self.bias = nn.Parameter(torch.zeros(self.normalized_shape))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) → the same shape."""
        var, mean = torch.var_mean(x, dim=1, keepdim=True, correction=0)
        normalized = (x - mean) * torch.rsqrt(var + self.eps)
        return normalized * _per_channel(self.weight) + _per_channel(self.bias)


_NORMS: dict[str, Callable[[int], nn.Module]] = {
    "BN": nn.BatchNorm2d,
    "SyncBN": nn.SyncBatchNorm,
    "nnSyncBN": nn.SyncBatchNorm,
    "naiveSyncBN": NaiveSyncBatchNorm,
    "naiveSyncBN_N": partial(NaiveSyncBatchNorm, stats_mode="N"),
    "FrozenBN": FrozenBatchNorm2d,
    "GN": partial(nn.GroupNorm, 32),
    "LN": LayerNorm,
}


def get_norm(norm: str | Callable[[int], nn.Module] | None, out_channels: int) -> nn.Module | None:
    """A normalization layer for ``out_channels`` channels, or None for None and "".

    Args:
        norm: a short name ("BN", "SyncBN", "FrozenBN", "GN" (32 groups), "LN", "naiveSyncBN",
            ...), or what makes a layer from the number of channels.

    Raises:
        KeyError: if the name is unknown.
    """
    if norm is None or norm == "":
        return None
    make = _NORMS[norm] if isinstance(norm, str) else norm
    return make(out_channels)

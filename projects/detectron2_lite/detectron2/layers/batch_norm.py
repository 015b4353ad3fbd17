"""Batch normalization that is frozen or shared by processes, and norms by name."""

from collections.abc import Callable
from functools import partial

import torch
import torch.distributed as dist
from detectron2.utils import comm
from torch import nn
from torch.distributed.nn.functional import all_reduce  # fvcore's import warns of its own code
from torch.nn import functional as F


def _affine(x: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    scale, shift = (channel.reshape(1, -1, 1, 1).to(x.dtype) for channel in (scale, shift))
    return x * scale + shift


class FrozenBatchNorm2d(nn.Module):
    """Batch normalization whose statistics and affine part are buffers, the identity at first."""

    def __init__(self, num_features: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        identity = {"weight": 1.0, "bias": 0.0, "running_mean": 0.0, "running_var": 1.0 - eps}
        for name, value in identity.items():
            self.register_buffer(name, torch.full((num_features,), value))
        self.register_buffer("num_batches_tracked", None)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not x.requires_grad:
            moments = self.running_mean, self.running_var
            return F.batch_norm(x, *moments, self.weight, self.bias, eps=self.eps)
        # Spelt out, since the backward pass of F.batch_norm takes memory for the buffers.
        scale = self.weight * torch.rsqrt(self.running_var + self.eps)
        return _affine(x, scale, self.bias - self.running_mean * scale)

    def extra_repr(self) -> str:
        return f"num_features={self.num_features}, eps={self.eps}"

    @classmethod
    def convert_frozen_batchnorm(cls, module: nn.Module) -> nn.Module:
        """Freeze every (Sync)BatchNorm2d in place; returns the new root."""
        if isinstance(module, (nn.BatchNorm2d, nn.SyncBatchNorm)):
            frozen = cls(module.num_features, module.eps)
            for name, tensor in module.state_dict().items():
                setattr(frozen, name, tensor.clone())
            return frozen
        for name, child in module.named_children():
            setattr(module, name, cls.convert_frozen_batchnorm(child))
        return module


class NaiveSyncBatchNorm(nn.BatchNorm2d):
    """Batch normalization over all processes, whose statistics count the same; needs no CUDA."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        if not (self.training and comm.get_world_size() > 1):
            return super().forward(input)
        assert len(input) > 0, "NaiveSyncBatchNorm needs images in every process"
        x = input.to(self.running_mean.dtype)  # half precision is too coarse for the sums
        moments = torch.stack([x.mean(dim=(0, 2, 3)), x.square().mean(dim=(0, 2, 3))])
        mean, mean_square = all_reduce(moments) / dist.get_world_size()
        var = mean_square - mean.square()
        self.running_mean.lerp_(mean.detach(), self.momentum)
        self.running_var.lerp_(var.detach(), self.momentum)
        scale = self.weight * torch.rsqrt(var + self.eps)
        return _affine(x, scale, self.bias - mean * scale).to(input.dtype)


_NORMS: dict[str, Callable[[int], nn.Module]] = {
    "BN": nn.BatchNorm2d,
    "SyncBN": nn.SyncBatchNorm,
    "naiveSyncBN": NaiveSyncBatchNorm,
    "FrozenBN": FrozenBatchNorm2d,
    "GN": partial(nn.GroupNorm, 32),
}


def get_norm(norm: str | Callable[[int], nn.Module] | None, out_channels: int) -> nn.Module | None:
    """A layer by short name, or by what makes one for the channels; None for None and ""."""
    if norm is None or norm == "":
        return None
    make = _NORMS[norm] if isinstance(norm, str) else norm
    return make(out_channels)

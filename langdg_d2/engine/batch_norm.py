"""BatchNorm over all processes, so that 8 processes x 1 image train like 1 process x 8 images."""

from detectron2.layers import NaiveSyncBatchNorm
from torch import Tensor, nn

from ..utils.amp import at_least_single


def synchronize_batch_norm(model: nn.Module) -> None:
    """Replace, in place, every trainable BatchNorm2d by one that shares statistics.

    Frozen BatchNorm uses its running statistics and needs no sharing. State dicts keep their keys,
    and parameters and buffers stay the ones they are.
    On the CPU, where torch's own version does not run, Detectron2's does; it assumes that all
    processes hold equally many values, which Detectron2's training loader guarantees for crops of
    one size.
    """
    for module in model.modules():
        for name, child in module.named_children():
            if type(child) is nn.BatchNorm2d and child.weight.requires_grad:
                setattr(module, name, _synchronized(child))


def _synchronized(norm: nn.BatchNorm2d) -> nn.BatchNorm2d | nn.SyncBatchNorm:
    if norm.weight.device.type != "cpu":
        return nn.SyncBatchNorm.convert_sync_batchnorm(norm)
    shared = _SharedBatchNorm(norm.num_features, eps=norm.eps, momentum=norm.momentum)
    # The same tensors, not copies: an optimizer may hold them already.
    for name, tensor in (*norm.named_parameters(), *norm.named_buffers()):
        setattr(shared, name, tensor)
    return shared


class _SharedBatchNorm(NaiveSyncBatchNorm):
    """Detectron2's, summing in single precision: squares of bfloat16 would lose the variance."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(at_least_single(input)).to(input.dtype)

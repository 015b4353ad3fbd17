"""Cross-entropy with label smoothing over labelled pixels, the paper's loss."""

import torch
import torch.distributed as dist
import torch.nn.functional as F
from detectron2.utils import comm
from torch import Tensor, nn

from ..utils.amp import at_least_single


class PixelCrossEntropy(nn.CrossEntropyLoss):
    """Mean cross-entropy over labelled pixels; 0 for batches without any.

    In training, the mean is over the batches of all processes, so every process must call this. The
    gradients averaged by DDP then equal those of a single process with all images, regardless of
    how the labelled pixels are distributed.

    Args:
        ignore_label: train id of unlabelled pixels.
        label_smoothing: label smoothing in 0..1; 0.1 in FAMix.
    """

    def __init__(self, *, ignore_label: int, label_smoothing: float) -> None:
        super().__init__(ignore_index=ignore_label, label_smoothing=label_smoothing)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Compute the scalar loss of logits (N, K, H, W) and train ids (N, H, W) int64."""
        input = at_least_single(input)  # the sum over so many pixels needs float32
        labelled = (target != self.ignore_index).sum().to(input.dtype)
        shares = comm.get_world_size() if self.training and torch.is_grad_enabled() else 1
        if shares > 1:
            dist.all_reduce(labelled)
            labelled = labelled / shares
        # Channels-last memory is already (pixels, classes), so this view is free, and more than
        # twice as fast on CPUs.
        # Summing the losses of single pixels is deterministic on GPUs as well.
        loss = F.cross_entropy(
            input.movedim(1, -1).flatten(0, -2),
            target.flatten(),
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            reduction="none",
        )
        # Without labelled pixels the sum is 0, and the clamp avoids 0 / 0.
        return loss.sum() / labelled.clamp(min=1 / shares)

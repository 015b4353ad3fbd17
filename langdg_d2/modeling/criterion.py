"""Loss of the recipe: cross-entropy with label smoothing over the labelled pixels."""

import torch
import torch.distributed as dist
import torch.nn.functional as F
from detectron2.utils import comm
from torch import Tensor, nn

from ..utils.amp import at_least_single


class PixelCrossEntropy(nn.CrossEntropyLoss):
    """Mean cross-entropy of labelled pixels; 0, not NaN, where a batch has none.

    In training, with gradients, the mean is over the batches of all processes, all of which have to
    call this: averaging their gradients then gives that of one process with all images, however the
    labelled pixels are spread. Else it is over the batch that is given. Small crops can miss every
    labelled pixel, and with one image for each process a batch is one crop: torch's own mean would
    then end the run.

    Args:
        ignore_label: train id of pixels that do not count.
        label_smoothing: share of the target spread evenly over all classes; 0.1 in FAMix.
    """

    def __init__(self, *, ignore_label: int, label_smoothing: float) -> None:
        super().__init__(ignore_index=ignore_label, label_smoothing=label_smoothing)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Loss of logits (N, K, H, W) and train ids (N, H, W) int64, a scalar.

        It is computed in single precision at least: a sum over pixels needs its digits.
        """
        input = at_least_single(input)
        labelled = (target != self.ignore_index).sum().to(input.dtype)
        shares = comm.get_world_size() if self.training and torch.is_grad_enabled() else 1
        if shares > 1:
            dist.all_reduce(labelled)
            labelled = labelled / shares
        # Pixels in rows, as they lie in channels-last layout: CPUs then take less than half the
        # time. Losses pixel by pixel add up to the same bits every time, also on GPUs.
        loss = F.cross_entropy(
            input.movedim(1, -1).flatten(0, -2),
            target.flatten(),
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            reduction="none",
        )
        # Less than one pixel is none at all; the sum above it is then 0.
        return loss.sum() / labelled.clamp(min=1 / shares)

"""Loss of the recipe: cross-entropy with label smoothing over the labelled pixels."""

import torch
import torch.distributed as dist
import torch.nn.functional as F
from detectron2.utils import comm
from torch import Tensor, nn

from ..utils.amp import at_least_single


class PixelCrossEntropy(nn.CrossEntropyLoss):
    """Mean cross-entropy of labelled pixels; 0, not NaN, where a batch has none.

    In training, with gradients, the mean is over the batches of all processes, and every process
    has to call this: averaged gradients then equal those of one process with all images, however
    the labelled pixels are spread. Otherwise the mean is over the given batch. A crop may have no
    labelled pixel at all, and torch's own mean would then be NaN.

    Args:
        ignore_label: train id of pixels that do not count.
        label_smoothing: share of the target that is spread evenly over all classes; 0.1 in FAMix.
    """

    def __init__(self, *, ignore_label: int, label_smoothing: float) -> None:
        super().__init__(ignore_index=ignore_label, label_smoothing=label_smoothing)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Loss of logits (N, K, H, W) and train ids (N, H, W) int64, a scalar.

        Computed in single precision at least, which sums over many pixels need.
        """
        input = at_least_single(input)
        labelled = (target != self.ignore_index).sum().to(input.dtype)
        shares = comm.get_world_size() if self.training and torch.is_grad_enabled() else 1
        if shares > 1:
            dist.all_reduce(labelled)
            labelled = labelled / shares
        # Flatten to (pixels, classes), which matches channels-last memory; more than twice as fast
        # on CPUs. Losses pixel by pixel add up to the same bits every time, also on GPUs.
        loss = F.cross_entropy(
            input.movedim(1, -1).flatten(0, -2),
            target.flatten(),
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            reduction="none",
        )
        # Without labelled pixels the sum is 0; the clamp avoids 0 / 0.
        return loss.sum() / labelled.clamp(min=1 / shares)

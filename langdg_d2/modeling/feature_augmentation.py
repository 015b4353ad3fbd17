"""Interface for augmenting low-level features during training."""

from abc import ABC, abstractmethod

from torch import Tensor


class FeatureAugmentation(ABC):
    """Something that restyles the low-level features of a training batch.

    It is not a module and has no part in the model's state dict. A trainer hook sets and removes
    it; evaluation never calls it.
    """

    @abstractmethod
    def __call__(self, features: Tensor, patch_classes: Tensor | None) -> Tensor:
        """Restyle features.

        Args:
            features: (N, C, H, W) low-level features.
            patch_classes: (N, rows, cols) train id of every patch, or None where the mapper gives
                none.

        Returns:
            (N, C, H, W).
        """

"""Interface of augmentations of low-level features during training."""

from abc import ABC, abstractmethod

from torch import Tensor


class FeatureAugmentation(ABC):
    """Restyles the low-level features of a training batch.

    It is not a module, so it does not appear in state dicts. A hook installs it for training and
    removes it afterwards; evaluation never calls it.
    """

    @abstractmethod
    def __call__(self, features: Tensor, patch_classes: Tensor | None) -> Tensor:
        """Restyle features (N, C, H, W) and return the same shape.

        Args:
            features: low-level features.
            patch_classes: (N, rows, cols) train id of every patch; None if the mapper adds none.
        """

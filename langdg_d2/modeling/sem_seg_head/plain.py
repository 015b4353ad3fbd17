"""Plain heads for strong backbones: linear, deconvolutions, and SegFormer's all-MLP head.

VFMSeg (AAAI 2025) reports that such heads match Mask2Former on the same LoRA-tuned DINOv2.
"""

from collections.abc import Mapping, Sequence

import torch
from detectron2.layers import ShapeSpec
from torch import Tensor, nn

from ...layers import resize_bilinear
from .deeplab_v3plus import conv_norm_relu


class LinearHead(nn.Module):
    """BatchNorm and a linear classifier per position, DINOv2's linear probe.

    Args:
        input_shape: the backbone's features, by name.
        in_feature: name of the features to classify.
        num_classes: channels of the output.
    """

    def __init__(
        self, *, input_shape: Mapping[str, ShapeSpec], in_feature: str, num_classes: int
    ) -> None:
        super().__init__()
        self.input_shape = dict(input_shape)
        self.num_classes = num_classes
        self.in_feature = in_feature
        channels = input_shape[in_feature].channels
        self.norm = nn.BatchNorm2d(channels)
        self.predict = nn.Conv2d(channels, num_classes, kernel_size=1)

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        """Logits (N, num_classes, h, w) at the size of the feature (N, C, h, w)."""
        return self.predict(self.norm(features[self.in_feature]))


class DeconvHead(nn.Module):
    """Two deconvolutions that double the size and halve the channels, the decoder of VFMSeg.

    NOTE: BatchNorm replaces VFMSeg's GroupNorm after the first convolution.

    Args:
        input_shape: the backbone's features, by name.
        in_feature: name of the features to upsample.
        num_classes: channels of the output.
        channels: channels of the projected features, a multiple of 4.
        dropout: probability of zeroing a channel before the classifier in training.
    """

    def __init__(
        self,
        *,
        input_shape: Mapping[str, ShapeSpec],
        in_feature: str,
        num_classes: int,
        channels: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.input_shape = dict(input_shape)
        self.num_classes = num_classes
        self.in_feature = in_feature
        half, quarter = channels // 2, channels // 4
        self.project = conv_norm_relu(input_shape[in_feature].channels, channels, kernel_size=1)
        self.upsample = nn.Sequential(
            nn.ConvTranspose2d(channels, half, kernel_size=2, stride=2),
            nn.BatchNorm2d(half),
            nn.GELU(),
            nn.ConvTranspose2d(half, quarter, kernel_size=2, stride=2),
            nn.GELU(),
            nn.Dropout2d(dropout),
        )
        self.predict = nn.Conv2d(quarter, num_classes, kernel_size=1)

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        """Logits (N, num_classes, 4 * h, 4 * w) of the feature (N, C, h, w)."""
        return self.predict(self.upsample(self.project(features[self.in_feature])))


class SegFormerHead(nn.Module):
    """Projects all features to one width, resizes and fuses them (arXiv 2105.15203).

    Args:
        input_shape: the backbone's features, by name.
        in_features: names of the features to fuse.
        num_classes: channels of the output.
        channels: channels of each projected feature.
        dropout: probability of zeroing a channel before the classifier in training.
    """

    def __init__(
        self,
        *,
        input_shape: Mapping[str, ShapeSpec],
        in_features: Sequence[str],
        num_classes: int,
        channels: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.input_shape = dict(input_shape)
        self.num_classes = num_classes
        self.finest = min(in_features, key=lambda name: input_shape[name].stride)
        self.project = nn.ModuleDict(
            {
                name: nn.Conv2d(input_shape[name].channels, channels, kernel_size=1)
                for name in in_features
            }
        )
        self.fuse = conv_norm_relu(len(in_features) * channels, channels, kernel_size=1)
        self.dropout = nn.Dropout2d(dropout)
        self.predict = nn.Conv2d(channels, num_classes, kernel_size=1)

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        """Logits (N, num_classes, h, w) at the size of the finest feature (N, C, h, w)."""
        size = features[self.finest].shape[-2:]
        maps = [
            resize_bilinear(project(features[name]), size) for name, project in self.project.items()
        ]
        return self.predict(self.dropout(self.fuse(torch.cat(maps, dim=1))))

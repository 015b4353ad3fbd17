"""DeepLabV3+ head (arXiv 1802.02611) as used by FAMix.

Unlike the head of Detectron2's DeepLab project, it has BatchNorm after image pooling and one 3x3
convolution after the concatenation instead of two.
"""

from collections.abc import Mapping, Sequence

import torch
from detectron2.layers import ShapeSpec
from torch import Tensor, nn

from ...layers import UpsampledConv2d


class DeepLabV3PlusHead(nn.Module):
    """Computes class logits from low-level and high-level features.

    Args:
        input_shape: the backbone's features, by name.
        low_level: name of the fine features, which set the size of the output.
        high_level: name of the input of the atrous spatial pyramid pooling (ASPP).
        num_classes: channels of the output.
        low_level_channels: channels of the projected low-level features.
        channels: channels of the ASPP and the decoder.
        atrous_rates: dilations of the ASPP's 3x3 convolutions.
        dropout: dropout probability of the ASPP's output in training.
    """

    def __init__(
        self,
        *,
        input_shape: Mapping[str, ShapeSpec],
        low_level: str,
        high_level: str,
        num_classes: int,
        low_level_channels: int,
        channels: int,
        atrous_rates: Sequence[int],
        dropout: float,
    ) -> None:
        super().__init__()
        self.input_shape = dict(input_shape)
        self.num_classes = num_classes
        self.low_level = low_level
        self.high_level = high_level
        self.project = conv_norm_relu(
            input_shape[low_level].channels, low_level_channels, kernel_size=1
        )
        self.aspp = AtrousSpatialPyramidPooling(
            in_channels=input_shape[high_level].channels,
            channels=channels,
            rates=atrous_rates,
            dropout=dropout,
        )
        self.fuse = conv_norm_relu(
            low_level_channels + channels,
            channels,
            kernel_size=3,
            conv=UpsampledConv2d,
        )
        self.predict = nn.Conv2d(channels, num_classes, kernel_size=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)  # as in the official head

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        """Compute logits (N, num_classes, h, w) at the size of the low-level features."""
        low = self.project(features[self.low_level])
        context = self.aspp(features[self.high_level])
        return self.predict(self.fuse((low, context)))


class AtrousSpatialPyramidPooling(nn.Module):
    """Context at several scales: a 1x1 convolution, dilated 3x3 convolutions, and image pooling.

    Shape: (N, in_channels, H, W) to (N, channels, H, W).
    """

    def __init__(
        self, *, in_channels: int, channels: int, rates: Sequence[int], dropout: float
    ) -> None:
        super().__init__()
        self.local = conv_norm_relu(in_channels, channels, kernel_size=1)
        self.atrous = nn.ModuleList(
            conv_norm_relu(in_channels, channels, kernel_size=3, dilation=rate) for rate in rates
        )
        self.image_pool = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            *conv_norm_relu(in_channels, channels, kernel_size=1),
        )
        self.project = nn.Sequential(
            *conv_norm_relu((len(rates) + 2) * channels, channels, kernel_size=1),
            nn.Dropout(dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        scales = [self.local(x), *(convolution(x) for convolution in self.atrous)]
        image_mean = self.image_pool(x).expand_as(scales[0])  # upsampling of 1x1 is broadcasting
        return self.project(torch.cat([*scales, image_mean], dim=1))


def conv_norm_relu(
    in_channels: int,
    out_channels: int,
    *,
    kernel_size: int,
    dilation: int = 1,
    conv: type[nn.Conv2d] = nn.Conv2d,
) -> nn.Sequential:
    """Build a size-preserving convolution with BatchNorm and ReLU."""
    convolution = conv(
        in_channels,
        out_channels,
        kernel_size,
        padding=dilation * (kernel_size // 2),
        dilation=dilation,
        bias=False,
    )
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))

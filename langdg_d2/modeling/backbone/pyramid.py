"""Feature pyramids with four strides from token maps with one stride."""

from collections.abc import Sequence

from torch import Tensor, nn

from ...layers import resize_bilinear

# Strides of the pyramid relative to that of the tokens.
SCALES = (0.25, 0.5, 1, 2)


class DeconvPyramid(nn.Module):
    """Learned upsampling of the first two maps and max-pooling of the last, as in tqdm.

    Args:
        channels: channels of the maps.
    """

    def __init__(self, *, channels: int) -> None:
        super().__init__()
        self.to_res2 = nn.Sequential(
            _double(channels), nn.BatchNorm2d(channels), nn.GELU(), _double(channels)
        )
        self.to_res3 = _double(channels)
        self.to_res5 = nn.MaxPool2d(2)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps at `SCALES` times the stride of four (N, channels, h, w)."""
        first, second, third, fourth = maps
        return [self.to_res2(first), self.to_res3(second), third, self.to_res5(fourth)]


class ResizePyramid(nn.Module):
    """Bilinear resizing without parameters, as in Rein."""

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps at `SCALES` times the stride of four (N, C, h, w)."""
        first, second, third, fourth = maps
        height, width = first.shape[-2:]
        return [
            resize_bilinear(first, (4 * height, 4 * width)),
            resize_bilinear(second, (2 * height, 2 * width)),
            third,
            resize_bilinear(fourth, ((height + 1) // 2, (width + 1) // 2)),
        ]


def _double(channels: int) -> nn.ConvTranspose2d:
    """Upsampling to twice the height and width."""
    return nn.ConvTranspose2d(channels, channels, kernel_size=2, stride=2)

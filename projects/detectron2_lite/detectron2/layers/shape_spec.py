"""What is known of a feature map before there is one."""

from dataclasses import dataclass


@dataclass
class ShapeSpec:
    """Channels, size in pixels, and stride with respect to the image."""

    channels: int | None = None
    height: int | None = None
    width: int | None = None
    stride: int | None = None

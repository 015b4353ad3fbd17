"""Like `clip_rn50_deeplabv3plus`, with CLIP RN101, whose features have the same channels."""

from .clip_rn50_deeplabv3plus import model

model.backbone.tower.name = "RN101-quickgelu"

"""As `clip_rn50_deeplabv3plus`, on CLIP RN101; both towers have features of the same widths."""

from .clip_rn50_deeplabv3plus import model

model.backbone.tower.name = "RN101-quickgelu"

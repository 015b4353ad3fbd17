"""Like `langdg_gta5_dinov2_l`, with Rein (CVPR 2024) and a plain head instead of its mask head."""

from detectron2.config import LazyCall as L

from langdg_d2.modeling import Rein

from .langdg_gta5_dinov2_l import (
    dataloader,
    evaluation,
    lr_scheduler,
    model,
    optimizer,
    styles,
    train,
)

model.backbone.trainable = []
model.backbone.adapter = L(Rein)(tokens=100, rank=16, scale=0.001)
# Expected by the weights that the authors release.
model.backbone.patch_resampling = "bicubic"
optimizer.params.backbone_lr_factor = 1.0
train.output_dir = "output/langdg_gta5_dinov2_l_rein"

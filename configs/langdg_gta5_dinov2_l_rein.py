"""As `langdg_gta5_dinov2_l`, tuned by Rein (CVPR 2024), with a plain head for its mask head."""

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
# As the weights that its authors release expect.
model.backbone.patch_resampling = "bicubic"
optimizer.params.backbone_lr_factor = 1.0
train.output_dir = "output/langdg_gta5_dinov2_l_rein"

"""Like `langdg_synthia`, with CLIP RN101."""

from .common.models.clip_rn101_deeplabv3plus import model as rn101
from .langdg_synthia import dataloader, evaluation, lr_scheduler, model, optimizer, styles, train

model.backbone.tower = rn101.backbone.tower
train.output_dir = "output/langdg_synthia_rn101"

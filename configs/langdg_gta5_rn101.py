"""Like `langdg_gta5`, with CLIP RN101."""

from .common.models.clip_rn101_deeplabv3plus import model as rn101
from .langdg_gta5 import dataloader, evaluation, lr_scheduler, model, optimizer, styles, train

model.backbone.tower = rn101.backbone.tower
evaluation["published"] = None
train.output_dir = "output/langdg_gta5_rn101"

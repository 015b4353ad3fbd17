"""Like `langdg_gta5`, with CLIP RN50x16."""

from .common.models.clip_rn50x16_deeplabv3plus import model
from .langdg_gta5 import dataloader, evaluation, lr_scheduler, optimizer, styles, train

evaluation["published"] = None
train.output_dir = "output/langdg_gta5_rn50x16"

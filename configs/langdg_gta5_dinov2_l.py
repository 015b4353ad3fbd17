"""Like `langdg_gta5_eva02_l`, with DINOv2-L."""

from .common.models.dinov2_l_deconv import model
from .langdg_gta5_eva02_l import dataloader, evaluation, lr_scheduler, optimizer, styles, train

train.output_dir = "output/langdg_gta5_dinov2_l"

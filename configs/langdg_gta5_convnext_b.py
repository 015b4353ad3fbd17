"""Like `langdg_gta5`, with a CLIP ConvNeXt-B backbone."""

from .common.models.clip_convnext_b_deeplabv3plus import model
from .langdg_gta5 import dataloader, evaluation, lr_scheduler, optimizer, styles, train

evaluation["published"] = None
train.output_dir = "output/langdg_gta5_convnext_b"

"""All of `layer4` trains, as with Cityscapes as the source."""

from .....configs.langdg_gta5 import (
    dataloader,
    evaluation,
    lr_scheduler,
    model,
    optimizer,
    styles,
    train,
)

model.backbone.trainable = ["layer4"]
train.output_dir = "output/famix/freeze_less"

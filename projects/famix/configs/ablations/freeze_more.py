"""All of the backbone is frozen, only the head trains."""

from .....configs.langdg_gta5 import (
    dataloader,
    evaluation,
    lr_scheduler,
    model,
    optimizer,
    styles,
    train,
)

model.backbone.trainable = []
train.output_dir = "output/famix/freeze_more"

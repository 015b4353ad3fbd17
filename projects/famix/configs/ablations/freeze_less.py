"""All of `layer4` trains, as with Cityscapes as the source."""

from ..gta5_rn50 import (
    dataloader,
    evaluation,
    lr_scheduler,
    model,
    optimizer,
    styles,
    train,
)

model.backbone.trainable = ["layer4"]
evaluation.published = None
train.output_dir = "output/famix/freeze_less"

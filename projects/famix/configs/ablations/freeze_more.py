"""All of the backbone is frozen, only the head trains."""

from ..gta5_rn50 import (
    dataloader,
    evaluation,
    lr_scheduler,
    model,
    optimizer,
    styles,
    train,
)

model.backbone.trainable = []
evaluation.published = None
train.output_dir = "output/famix/freeze_more"

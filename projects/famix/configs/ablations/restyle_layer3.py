"""`layer3`'s output is restyled instead of `layer1`'s."""

from ..gta5_rn50 import (
    dataloader,
    evaluation,
    lr_scheduler,
    model,
    optimizer,
    styles,
    train,
)

model.backbone.restyled_layer = "layer3"
evaluation.published = None
train.output_dir = "output/famix/restyle_layer3"

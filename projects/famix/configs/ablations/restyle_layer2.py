"""`layer2`'s output is restyled instead of `layer1`'s."""

from ..gta5_rn50 import (
    dataloader,
    evaluation,
    lr_scheduler,
    model,
    optimizer,
    styles,
    train,
)

model.backbone.restyled_layer = "layer2"
evaluation.published = None
train.output_dir = "output/famix/restyle_layer2"

"""CLIP's whole image tower trains. Row 'augment, mix': published mean 22.36."""

from ..gta5_rn50 import (
    dataloader,
    evaluation,
    lr_scheduler,
    model,
    optimizer,
    styles,
    train,
)

model.backbone.trainable = ["stem", "layer1", "layer2", "layer3", "layer4"]
evaluation.published = "famix_rn50_gta5_freeze_nothing"
train.output_dir = "output/famix/freeze_nothing"

"""CLIP's whole image tower trains. Row 'augment, mix': published mean 22.36."""

from .....configs.langdg_gta5 import (
    dataloader,
    evaluation,
    lr_scheduler,
    model,
    optimizer,
    styles,
    train,
)

model.backbone.trainable = ["stem", "layer1", "layer2", "layer3", "layer4"]
train.output_dir = "output/famix/freeze_nothing"

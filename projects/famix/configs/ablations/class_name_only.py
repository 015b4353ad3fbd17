"""The class name alone as target text. Row 'class name only': published mean 37.29."""

from .....configs.langdg_gta5 import (
    dataloader,
    evaluation,
    lr_scheduler,
    model,
    optimizer,
    styles,
    train,
)

styles.mining.miner.prompts.template = "{class_name}"
train.output_dir = "output/famix/class_name_only"

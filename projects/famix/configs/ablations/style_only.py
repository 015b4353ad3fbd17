"""The style prompt alone as target text. Row 'style prompt only': published mean 37.56."""

from .....configs.langdg_gta5 import (
    dataloader,
    evaluation,
    lr_scheduler,
    model,
    optimizer,
    styles,
    train,
)

styles.mining.miner.prompts.template = "{style}"
train.output_dir = "output/famix/style_only"

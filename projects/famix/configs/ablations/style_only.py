"""The style prompt alone as target text. Row 'style prompt only': published mean 37.56."""

from ..gta5_rn50 import (
    dataloader,
    evaluation,
    lr_scheduler,
    model,
    optimizer,
    styles,
    train,
)

styles.mining.miner.prompts.template = "{style}"
evaluation.published = "famix_rn50_gta5_style_only"
train.output_dir = "output/famix/style_only"

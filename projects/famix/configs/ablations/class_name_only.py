"""The class name alone as target text. Row 'class name only': published mean 37.29."""

from ..gta5_rn50 import (
    dataloader,
    evaluation,
    lr_scheduler,
    model,
    optimizer,
    styles,
    train,
)

styles.mining.miner.prompts.template = "{class_name}"
evaluation.published = "famix_rn50_gta5_class_name_only"
train.output_dir = "output/famix/class_name_only"

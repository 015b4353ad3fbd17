"""Like `rn101_scale_1`, with images at half size."""

from .rn101_scale_1 import (
    dataloader,
    evaluation,
    lr_scheduler,
    model,
    optimizer,
    styles,
    train,
)

evaluation.inference.scales = [0.5]
evaluation.published = "famix_release_rn101_gta5_scale_0.5"
train.output_dir = "output/famix/release_rn101_scale_0_5"

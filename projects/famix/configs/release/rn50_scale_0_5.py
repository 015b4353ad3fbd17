"""Like `rn50_scale_1`, with images at half size."""

from .rn50_scale_1 import (
    dataloader,
    evaluation,
    lr_scheduler,
    model,
    optimizer,
    styles,
    train,
)

evaluation.inference.scales = [0.5]
evaluation.published = "famix_release_rn50_gta5_scale_0.5"
train.output_dir = "output/famix/release_rn50_scale_0_5"

"""Like `rn50_scale_1`, with logits averaged over full and half size."""

from .rn50_scale_1 import (
    dataloader,
    evaluation,
    lr_scheduler,
    model,
    optimizer,
    styles,
    train,
)

evaluation.inference.scales = [1.0, 0.5]
evaluation.published = "famix_release_rn50_gta5_scales_1_0.5"
train.output_dir = "output/famix/release_rn50_scales_1_0_5"

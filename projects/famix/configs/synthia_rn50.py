"""SYNTHIA as source, CLIP RN50, the full recipe, tested as the authors do."""

from ....configs.langdg_synthia import (
    dataloader,
    evaluation,
    lr_scheduler,
    model,
    optimizer,
    styles,
    train,
)

evaluation.protocol = "famix"
train.output_dir = "output/famix/synthia_rn50"

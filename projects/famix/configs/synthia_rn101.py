"""SYNTHIA as source, CLIP RN101, the full recipe, tested as the authors do."""

from ....configs.langdg_synthia_rn101 import (
    dataloader,
    evaluation,
    lr_scheduler,
    model,
    optimizer,
    styles,
    train,
)

evaluation.protocol = "famix"
train.output_dir = "output/famix/synthia_rn101"

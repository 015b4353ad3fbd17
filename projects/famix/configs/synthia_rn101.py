"""FAMix on SYNTHIA, CLIP RN101, with the authors' test protocol."""

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

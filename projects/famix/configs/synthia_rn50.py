"""FAMix on SYNTHIA, CLIP RN50, with the authors' test protocol."""

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

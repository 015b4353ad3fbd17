"""FAMix on GTA5, CLIP RN101, with the authors' test protocol."""

from ....configs.langdg_gta5_rn101 import (
    dataloader,
    evaluation,
    lr_scheduler,
    model,
    optimizer,
    styles,
    train,
)

evaluation.protocol = "famix"
train.output_dir = "output/famix/gta5_rn101"

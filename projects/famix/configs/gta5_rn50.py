"""FAMix on GTA5, CLIP RN50, with the authors' test protocol. Published mean 38.88."""

from ....configs.langdg_gta5 import (
    dataloader,
    evaluation,
    lr_scheduler,
    model,
    optimizer,
    styles,
    train,
)

evaluation.protocol = "famix"
train.output_dir = "output/famix/gta5_rn50"

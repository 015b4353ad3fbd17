"""FAMix on Cityscapes, CLIP RN50, with the authors' test protocol."""

from ....configs.langdg_cityscapes import (
    dataloader,
    evaluation,
    lr_scheduler,
    model,
    optimizer,
    styles,
    train,
)

evaluation.protocol = "famix"
train.output_dir = "output/famix/cityscapes_rn50"

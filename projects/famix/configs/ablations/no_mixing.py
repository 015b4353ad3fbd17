"""Mined styles take the place of the patches' own. Row 'freeze, augment': published mean 32.93."""

from detectron2.config import LazyCall as L

from langdg_d2.styles import ConstantWeights

from ..gta5_rn50 import (
    dataloader,
    evaluation,
    lr_scheduler,
    model,
    optimizer,
    styles,
    train,
)

styles.augmentation.mixer.weights = L(ConstantWeights)(value=0)
evaluation.published = "famix_rn50_gta5_no_mixing"
train.output_dir = "output/famix/no_mixing"

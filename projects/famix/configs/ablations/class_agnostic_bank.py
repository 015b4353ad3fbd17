"""A mined style of whatever class for every patch."""

from langdg_d2.styles import PooledBankStyles

from ..gta5_rn50 import (
    dataloader,
    evaluation,
    lr_scheduler,
    model,
    optimizer,
    styles,
    train,
)

styles.augmentation.mixer.styles._target_ = PooledBankStyles
evaluation.published = None
train.output_dir = "output/famix/class_agnostic_bank"

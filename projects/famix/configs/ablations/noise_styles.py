"""Styles are the patches' own under Gaussian noise, without any text."""

from detectron2.config import LazyCall as L

from langdg_d2.styles import NoiseStyles

from ..gta5_rn50 import (
    dataloader,
    evaluation,
    lr_scheduler,
    model,
    optimizer,
    styles,
    train,
)

styles.bank = None
styles.augmentation.mixer.styles = L(NoiseStyles)(snr_db=20.0)
evaluation.published = None
train.output_dir = "output/famix/noise_styles"

"""GTA5 -> Cityscapes and ACDC: CLIP RN50, trained on GTA5 alone (the paper's main setting)."""

from .common.data.sources import train_loader
from .common.data.targets import evaluators, test
from .common.models.clip_rn50_deeplabv3plus import model
from .common.optim import optimizer
from .common.schedule import lr_scheduler
from .common.styles import styles
from .common.train import train

dataloader = dict(
    # Of training and mining, height and width in pixels.
    crop_size=[768, 768],
    train=train_loader("gta5_sem_seg_train"),
    test=test,
    evaluators=evaluators,
)

# Domains in the order of the tables; the source is scored where its validation split is named.
evaluation = dict(
    source="gta5",
    domains=["cityscapes", "acdc_night", "acdc_snow", "acdc_rain", "acdc_fog"],
    # Whole images at their native size.
    protocol="full",
)

train.output_dir = "output/langdg_gta5"

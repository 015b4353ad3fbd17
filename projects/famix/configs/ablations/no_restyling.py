"""Features stay as they are. Row 'freeze': published mean 32.44."""

from .....configs.langdg_gta5 import (
    dataloader,
    evaluation,
    lr_scheduler,
    model,
    optimizer,
    styles,
    train,
)

styles.bank = None
styles.augmentation = None
train.output_dir = "output/famix/no_restyling"

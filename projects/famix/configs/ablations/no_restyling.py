"""Features stay as they are. Row 'freeze': published mean 32.44."""

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
styles.augmentation = None
evaluation.published = "famix_rn50_gta5_no_restyling"
train.output_dir = "output/famix/no_restyling"

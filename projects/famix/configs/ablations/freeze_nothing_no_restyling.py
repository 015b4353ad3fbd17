"""Nothing frozen, features as they are. Row 'none of the three': published mean 14.69."""

from .freeze_nothing import dataloader, evaluation, lr_scheduler, model, optimizer, train
from .no_restyling import styles

evaluation.published = "famix_rn50_gta5_freeze_nothing_no_restyling"
train.output_dir = "output/famix/freeze_nothing_no_restyling"

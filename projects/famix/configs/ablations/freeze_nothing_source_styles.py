"""Nothing frozen, styles of other patches mixed in. Row 'mix': published mean 18.70."""

from .freeze_nothing import dataloader, evaluation, lr_scheduler, model, optimizer, train
from .source_styles import styles

evaluation.published = "famix_rn50_gta5_freeze_nothing_source_styles"
train.output_dir = "output/famix/freeze_nothing_source_styles"

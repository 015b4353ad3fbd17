"""Nothing frozen, mined styles replace the patches' own. Row 'augment': published mean 20.39."""

from .freeze_nothing import dataloader, evaluation, lr_scheduler, model, optimizer, train
from .no_mixing import styles

evaluation.published = "famix_rn50_gta5_freeze_nothing_no_mixing"
train.output_dir = "output/famix/freeze_nothing_no_mixing"

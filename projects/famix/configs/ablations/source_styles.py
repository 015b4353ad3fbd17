"""Styles of other source patches are mixed in. Row 'freeze, mix': published mean 36.29."""

from ..gta5_rn50 import (
    dataloader,
    evaluation,
    lr_scheduler,
    model,
    optimizer,
    styles,
    train,
)

# Mined patches keep the statistics that they have.
styles.mining.miner.pin.steps = 0
evaluation.published = "famix_rn50_gta5_source_styles"
train.output_dir = "output/famix/source_styles"

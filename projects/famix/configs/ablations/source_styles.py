"""Styles of other source patches are mixed in. Row 'freeze, mix': published mean 36.29."""

from .....configs.langdg_gta5 import (
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
train.output_dir = "output/famix/source_styles"

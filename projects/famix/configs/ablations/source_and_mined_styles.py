"""Both kinds of styles in one bank, see the README. Row 'source + mined': published mean 37.64."""

from ..gta5_rn50 import (
    dataloader,
    evaluation,
    lr_scheduler,
    model,
    optimizer,
    styles,
    train,
)

# It is merged from two others; mining would give one kind only.
styles.mine_if_missing = False
evaluation.published = "famix_rn50_gta5_source_and_mined_styles"
train.output_dir = "output/famix/source_and_mined_styles"

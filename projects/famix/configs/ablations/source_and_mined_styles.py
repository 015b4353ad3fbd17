"""Source and mined styles in one bank (see README). Row 'source + mined': published mean 37.64."""

from ...ablations import recipe_with, source_and_mined_styles

dataloader, evaluation, lr_scheduler, model, optimizer, styles, train = recipe_with(
    source_and_mined_styles
)

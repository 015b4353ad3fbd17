"""Nothing frozen, features as they are. Row 'none of the three': published mean 14.69."""

from ...ablations import freeze_nothing, no_restyling, recipe_with

dataloader, evaluation, lr_scheduler, model, optimizer, styles, train = recipe_with(
    freeze_nothing, no_restyling
)

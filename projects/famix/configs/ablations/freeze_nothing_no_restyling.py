"""Train everything without restyling. Row 'none of the three': published mean 14.69."""

from ...ablations import freeze_nothing, no_restyling, recipe_with

dataloader, evaluation, lr_scheduler, model, optimizer, styles, train = recipe_with(
    freeze_nothing, no_restyling
)

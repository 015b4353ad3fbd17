"""Train everything; mix styles of other patches. Row 'mix': published mean 18.70."""

from ...ablations import freeze_nothing, recipe_with, source_styles

dataloader, evaluation, lr_scheduler, model, optimizer, styles, train = recipe_with(
    freeze_nothing, source_styles
)

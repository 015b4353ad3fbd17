"""Train everything; mined styles replace the patches' own. Row 'augment': published mean 20.39."""

from ...ablations import freeze_nothing, no_mixing, recipe_with

dataloader, evaluation, lr_scheduler, model, optimizer, styles, train = recipe_with(
    freeze_nothing, no_mixing
)

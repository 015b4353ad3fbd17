"""Train the whole image tower of CLIP. Row 'augment, mix': published mean 22.36."""

from ...ablations import freeze_nothing, recipe_with

dataloader, evaluation, lr_scheduler, model, optimizer, styles, train = recipe_with(freeze_nothing)

"""All of the backbone is frozen, only the head trains."""

from ...ablations import freeze_more, recipe_with

dataloader, evaluation, lr_scheduler, model, optimizer, styles, train = recipe_with(freeze_more)

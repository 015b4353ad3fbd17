"""Freeze the whole backbone and train only the head."""

from ...ablations import freeze_more, recipe_with

dataloader, evaluation, lr_scheduler, model, optimizer, styles, train = recipe_with(freeze_more)

"""Train all of `layer4`, as with Cityscapes as the source."""

from ...ablations import freeze_less, recipe_with

dataloader, evaluation, lr_scheduler, model, optimizer, styles, train = recipe_with(freeze_less)

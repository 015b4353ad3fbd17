"""Restyle the output of `layer3` instead of `layer1`."""

from ...ablations import recipe_with, restyle_layer3

dataloader, evaluation, lr_scheduler, model, optimizer, styles, train = recipe_with(restyle_layer3)

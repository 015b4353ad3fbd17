"""Restyle the output of `layer2` instead of `layer1`."""

from ...ablations import recipe_with, restyle_layer2

dataloader, evaluation, lr_scheduler, model, optimizer, styles, train = recipe_with(restyle_layer2)

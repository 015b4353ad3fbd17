"""Restyle the output of the stem instead of `layer1`."""

from ...ablations import recipe_with, restyle_stem

dataloader, evaluation, lr_scheduler, model, optimizer, styles, train = recipe_with(restyle_stem)

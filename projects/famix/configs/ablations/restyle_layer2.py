"""`layer2`'s output is restyled instead of `layer1`'s."""

from ...ablations import recipe_with, restyle_layer2

dataloader, evaluation, lr_scheduler, model, optimizer, styles, train = recipe_with(restyle_layer2)

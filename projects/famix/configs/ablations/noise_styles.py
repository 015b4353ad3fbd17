"""The patches' own styles with Gaussian noise, without text."""

from ...ablations import noise_styles, recipe_with

dataloader, evaluation, lr_scheduler, model, optimizer, styles, train = recipe_with(noise_styles)

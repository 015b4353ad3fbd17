"""The style prompt alone as target text. Row 'style prompt only': published mean 37.56."""

from ...ablations import recipe_with, style_only

dataloader, evaluation, lr_scheduler, model, optimizer, styles, train = recipe_with(style_only)

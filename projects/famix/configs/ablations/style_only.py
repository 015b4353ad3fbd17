"""The style alone as prompt. Row 'style prompt only': published mean 37.56."""

from ...ablations import recipe_with, style_only

dataloader, evaluation, lr_scheduler, model, optimizer, styles, train = recipe_with(style_only)

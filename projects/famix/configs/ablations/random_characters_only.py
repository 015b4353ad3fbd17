"""Random characters alone as prompts. Row 'random characters': published mean 37.35."""

from ...ablations import random_characters_only, recipe_with

dataloader, evaluation, lr_scheduler, model, optimizer, styles, train = recipe_with(
    random_characters_only
)

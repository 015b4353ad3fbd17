"""Random style prompts. Row 'random characters + class name': published mean 38.08."""

from ...ablations import random_character_prompts, recipe_with

dataloader, evaluation, lr_scheduler, model, optimizer, styles, train = recipe_with(
    random_character_prompts
)

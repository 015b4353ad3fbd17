"""Style prompts that describe weather and light instead of art."""

from ...ablations import driving_prompts, recipe_with

dataloader, evaluation, lr_scheduler, model, optimizer, styles, train = recipe_with(driving_prompts)

"""The class name alone as prompt. Row 'class name only': published mean 37.29."""

from ...ablations import class_name_only, recipe_with

dataloader, evaluation, lr_scheduler, model, optimizer, styles, train = recipe_with(class_name_only)

"""Mined styles of any class for every patch."""

from ...ablations import class_agnostic_bank, recipe_with

dataloader, evaluation, lr_scheduler, model, optimizer, styles, train = recipe_with(
    class_agnostic_bank
)

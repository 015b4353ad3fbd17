"""Mined styles replace the patches' own. Row 'freeze, augment': published mean 32.93."""

from ...ablations import no_mixing, recipe_with

dataloader, evaluation, lr_scheduler, model, optimizer, styles, train = recipe_with(no_mixing)

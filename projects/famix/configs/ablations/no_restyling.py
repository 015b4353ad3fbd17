"""No restyling. Row 'freeze': published mean 32.44."""

from ...ablations import no_restyling, recipe_with

dataloader, evaluation, lr_scheduler, model, optimizer, styles, train = recipe_with(no_restyling)

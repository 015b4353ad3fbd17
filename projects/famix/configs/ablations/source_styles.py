"""Mix styles of other source patches. Row 'freeze, mix': published mean 36.29."""

from ...ablations import recipe_with, source_styles

dataloader, evaluation, lr_scheduler, model, optimizer, styles, train = recipe_with(source_styles)

"""One style per image instead of one per patch."""

from ...ablations import recipe_with, whole_image_styles

dataloader, evaluation, lr_scheduler, model, optimizer, styles, train = recipe_with(
    whole_image_styles
)

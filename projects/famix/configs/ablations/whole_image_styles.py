"""One style for the whole image instead of one a patch."""

from ..gta5_rn50 import (
    dataloader,
    evaluation,
    lr_scheduler,
    model,
    optimizer,
    styles,
    train,
)

styles.grid.rows = 1
styles.grid.cols = 1
evaluation.published = None
train.output_dir = "output/famix/whole_image_styles"

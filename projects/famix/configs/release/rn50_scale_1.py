"""The released RN50 checkpoint, converted by `import_famix.py`; for `--eval-only`."""

from ..gta5_rn50 import (
    dataloader,
    evaluation,
    lr_scheduler,
    model,
    optimizer,
    styles,
    train,
)

evaluation.domains = ["cityscapes", "mapillary", *evaluation.groups.acdc]
evaluation.published = "famix_release_rn50_gta5_scale_1"
train.init_checkpoint = "output/famix/release_rn50.pth"
train.output_dir = "output/famix/release_rn50_scale_1"

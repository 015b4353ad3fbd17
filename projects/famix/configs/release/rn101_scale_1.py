"""The released RN101 checkpoint, converted by `import_famix.py`; for `--eval-only`."""

from ..gta5_rn101 import (
    dataloader,
    evaluation,
    lr_scheduler,
    model,
    optimizer,
    styles,
    train,
)

evaluation.domains = ["cityscapes", "mapillary", *evaluation.groups.acdc]
evaluation.published = "famix_release_rn101_gta5_scale_1"
train.init_checkpoint = "output/famix/release_rn101.pth"
train.output_dir = "output/famix/release_rn101_scale_1"

"""Step 1 of PØDA: train only the head on GTA5, without restyling."""

from ....configs.langdg_gta5 import (
    dataloader,
    evaluation,
    lr_scheduler,
    model,
    optimizer,
    styles,
    train,
)

model.backbone.trainable = []
model.criterion.label_smoothing = 0.0

dataloader.train.total_batch_size = 2
dataloader.train.mapper.augmentations[1].update(brightness=0.5, contrast=0.5, saturation=0.5)

styles.bank = None
styles.augmentation = None

evaluation.domains = ["cityscapes", *evaluation.groups.acdc]
evaluation.published = None

train.max_iter = 200_000
train.output_dir = "output/poda/source_only"

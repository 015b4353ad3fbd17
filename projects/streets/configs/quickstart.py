"""The whole pipeline in minutes on a laptop: a small network with CLIP's structure, on streets.

No pretrained weights are used: the tower starts from random ones, so all of it has to train.
"""

from pathlib import Path

from ....configs.langdg_gta5 import (
    dataloader,
    evaluation,
    lr_scheduler,
    model,
    optimizer,
    styles,
    train,
)

model.backbone.tower.name = str(Path(__file__).with_name("small_clip.json"))
model.backbone.tower.weights = None
model.backbone.trainable = ["stem", "layer1", "layer2", "layer3", "layer4"]
optimizer.params.backbone_lr_factor = 1.0

# Four and thirty-two times the tower's width of 24.
model.sem_seg_head.input_shape.res2.channels = 96
model.sem_seg_head.input_shape.res5.channels = 768
model.sem_seg_head.low_level_channels = 16
model.sem_seg_head.channels = 64

dataloader.crop_size = [192, 384]
dataloader.train.num_workers = 1

# Text means nothing to an untrained tower: few steps show that mining runs.
styles.mining.miner.pin.steps = 25
styles.mining.batches.batch_size = 8
styles.mining.num_workers = 1

# Long enough to see the classes, and the gap between the source and the unseen looks.
train.max_iter = 220
train.eval_period = 0
train.output_dir = "output/quickstart"

evaluation.domains = ["gta5", "cityscapes", *evaluation.groups.acdc]
evaluation.published = None

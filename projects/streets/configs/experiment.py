"""FAMix on streets with the small CLIP, the base of all variants of the experiment.

`projects/streets/experiment.py --set` changes it for all variants.
"""

import json
from pathlib import Path

from ....configs.common.data.targets import DATASETS, predictions, scores
from ....configs.langdg_gta5 import (
    dataloader,
    evaluation,
    lr_scheduler,
    model,
    optimizer,
    styles,
    train,
)

_clip = Path(__file__).with_name("small_clip.json")
_tower = json.loads(_clip.read_text())["vision_cfg"]
_weights = Path(__file__).parents[1] / "weights/small_clip.safetensors"

model.backbone.tower.name = str(_clip)
model.backbone.tower.weights = str(_weights)
model.sem_seg_head.input_shape.res2.channels = 4 * _tower["width"]
model.sem_seg_head.input_shape.res5.channels = 32 * _tower["width"]
model.sem_seg_head.low_level_channels = 16
model.sem_seg_head.channels = 64
# In proportion to a feature map of 12 x 12; the paper's 6, 12, 18 belong to 48 x 48.
model.sem_seg_head.atrous_rates = [2, 4, 6]

dataloader.crop_size = [192, 192]
dataloader.train.total_batch_size = 4
dataloader.train.num_workers = 1
for _domain in dataloader.test:
    dataloader.test[_domain].num_workers = 1
for _domain, _name in DATASETS.items():
    # Pictures are made of the predictions of all variants together.
    dataloader.evaluators[_domain] = [scores(_name), predictions(_name)]

styles.mining.num_workers = 1
styles.mining.miner.prompts.style_prompts = "driving_conditions"

train.max_iter = 1000
train.eval_period = 0
train.checkpointer.period = 25
train.checkpointer.max_to_keep = 1
train.output_dir = "output/experiment/by_hand"

evaluation.domains = [
    "gta5",
    "cityscapes",
    *evaluation.groups.acdc,
    "urbansyn",
    "bdd100k",
    "mapillary",
]
evaluation.published = None
evaluation.predictions = "train_ids"

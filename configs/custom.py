"""Your own classes and folders: change what is here, see docs/tutorials/own_data.md."""

from langdg_d2.data.datasets import register_labelled_folder as folder

from .common.data.own import own_data, use_classes
from .common.evaluation import evaluation
from .common.models.clip_rn50_deeplabv3plus import model
from .common.optim import optimizer
from .common.schedule import lr_scheduler
from .common.styles import styles
from .common.train import train

classes = ["road", "sidewalk", "building", "vegetation", "sky", "person", "car"]
ids = {0: None} | dict(enumerate(classes, start=1))
known = dict(classes=classes, label_ids=ids)

use_classes(model, classes)
dataloader = own_data(
    train=folder("own_day", "datasets/day", **known),
    targets=dict(night=folder("own_night", "datasets/night", **known)),
    crop_size=[512, 512],
)
evaluation = evaluation(source=None, targets=["night"], groups={})
train.output_dir = "output/custom"

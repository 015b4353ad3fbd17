"""Template for your own classes and images; see docs/tutorials/own_data.md."""

from langdg_d2.data.datasets import register_labelled_folder as folder

from .common.data.own import own_data, use_classes
from .common.evaluation import evaluation
from .common.models.clip_rn50_deeplabv3plus import model
from .common.optim import optimizer
from .common.schedule import lr_scheduler
from .common.styles import styles
from .common.train import train

classes = ["road", "sidewalk", "building", "vegetation", "sky", "person", "car"]
_ids = {0: None} | dict(enumerate(classes, start=1))
_labels = dict(classes=classes, label_ids=_ids)

use_classes(model, classes)
dataloader = own_data(
    train=folder("own_day", "datasets/day", **_labels),
    targets=dict(night=folder("own_night", "datasets/night", **_labels)),
    crop_size=[512, 512],
)
evaluation = evaluation(source=None, targets=["night"], groups={})
train.output_dir = "output/custom"

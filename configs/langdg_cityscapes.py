"""Cityscapes to other cities, bad weather and synthetic scenes: CLIP RN50, layer4 trained."""

from .common.data.sources import crops, train_loader, train_mapper
from .common.data.targets import evaluators, test
from .common.evaluation import evaluation
from .common.models.clip_rn50_deeplabv3plus import model
from .common.optim import optimizer
from .common.schedule import lr_scheduler
from .common.styles import styles
from .common.train import train

dataloader = dict(
    crop_size=[768, 768],
    train=train_loader("cityscapes_sem_seg_train", train_mapper(crops())),
    test=test,
    evaluators=evaluators,
)
evaluation = evaluation("cityscapes", ["bdd100k", "mapillary", "gta5", "synthia"])
model.backbone.trainable = ["layer4"]
train.output_dir = "output/langdg_cityscapes"

"""SYNTHIA to real cities, GTA5 and bad weather: CLIP RN50, scored on SYNTHIA's 16 classes."""

from .common.data.sources import scaled_crops, train_loader, train_mapper
from .common.data.targets import evaluators, test
from .common.evaluation import evaluation
from .common.models.clip_rn50_deeplabv3plus import model
from .common.optim import optimizer
from .common.schedule import lr_scheduler
from .common.styles import styles
from .common.train import train

dataloader = dict(
    crop_size=[768, 768],
    train=train_loader("synthia_sem_seg_train", train_mapper(scaled_crops([720, 720]))),
    test=test,
    evaluators=evaluators,
)
evaluation = evaluation("synthia", ["cityscapes", "bdd100k", "mapillary", "gta5"])
evaluation["classes"] = "16"
# SYNTHIA's images are lower than the training crops.
styles["mining"].batches.mapper.augmentations = scaled_crops([720, 720])
train.output_dir = "output/langdg_synthia"

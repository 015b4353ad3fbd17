"""GTA5 and SYNTHIA together to real cities and bad weather: CLIP RN50."""

from detectron2.config import LazyCall as L

from langdg_d2.data import TrainMapper

from .common.data.sources import by_source, crops, scaled_crops, train_loader, train_mapper
from .common.data.targets import evaluators, test
from .common.evaluation import evaluation
from .common.models.clip_rn50_deeplabv3plus import model
from .common.optim import optimizer
from .common.schedule import lr_scheduler
from .common.styles import styles
from .common.train import train

# Crops differ by source, because SYNTHIA's images are lower than the crops.
_crops = {"gta5_sem_seg_train": crops(), "synthia_sem_seg_train": scaled_crops([720, 720])}

dataloader = dict(
    crop_size=[768, 768],
    train=train_loader(
        list(_crops), by_source({name: train_mapper(own) for name, own in _crops.items()})
    ),
    test=test,
    evaluators=evaluators,
)
evaluation = evaluation(["gta5", "synthia"], ["cityscapes", "bdd100k", "mapillary"])
styles["mining"].batches.mapper = by_source(
    {name: L(TrainMapper)(augmentations=own) for name, own in _crops.items()}
)
train.output_dir = "output/langdg_gta5_synthia"

"""GTA5 to real cities, SYNTHIA and bad weather: CLIP RN50 (the paper's main setting)."""

from .common.data.sources import crops, train_loader, train_mapper
from .common.data.targets import evaluators, test
from .common.evaluation import evaluation
from .common.models.clip_rn50_deeplabv3plus import model
from .common.optim import optimizer
from .common.schedule import lr_scheduler
from .common.styles import styles
from .common.train import train

dataloader = dict(
    # Height and width of crops in pixels, for training and mining.
    crop_size=[768, 768],
    train=train_loader("gta5_sem_seg_train", train_mapper(crops())),
    test=test,
    evaluators=evaluators,
)
evaluation = evaluation(
    "gta5", ["cityscapes", "bdd100k", "mapillary", "synthia"], "famix_rn50_gta5"
)
train.output_dir = "output/langdg_gta5"

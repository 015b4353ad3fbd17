"""Test loaders and evaluators of the domains, each under the name tables use for it."""

from detectron2.config import LazyCall as L
from detectron2.data import build_detection_test_loader, get_detection_dataset_dicts
from omegaconf import DictConfig

from langdg_d2.data import TestMapper
from langdg_d2.evaluation import StreamingSemSegEvaluator
from langdg_d2.visualization import OverlayWriter

from ..constants import constants

# Domain to data set.
DATASETS = dict(
    gta5="gta5_sem_seg_val",
    cityscapes="cityscapes_sem_seg_val",
    acdc_fog="acdc_fog_sem_seg_val",
    acdc_night="acdc_night_sem_seg_val",
    acdc_rain="acdc_rain_sem_seg_val",
    acdc_snow="acdc_snow_sem_seg_val",
)


def test_loader(dataset_name: str) -> DictConfig:
    """Whole images, one at a time."""
    return L(build_detection_test_loader)(
        dataset=L(get_detection_dataset_dicts)(names=dataset_name, filter_empty=False),
        mapper=L(TestMapper)(),
        num_workers=2,
    )


def scores(dataset_name: str) -> DictConfig:
    """IoU of the 19 classes."""
    return L(StreamingSemSegEvaluator)(
        dataset_name=dataset_name,
        class_names=constants["class_names"],
        ignore_label=constants["ignore_label"],
    )


def overlays(dataset_name: str) -> DictConfig:
    """Pictures of the first few predictions."""
    return L(OverlayWriter)(
        output_dir="${train.output_dir}/overlays", dataset_name=dataset_name, max_images=4
    )


test = {domain: test_loader(name) for domain, name in DATASETS.items()}
evaluators = {domain: [scores(name), overlays(name)] for domain, name in DATASETS.items()}

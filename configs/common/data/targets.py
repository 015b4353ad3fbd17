"""Test loaders and evaluators by domain; tables use the same names.

Domains without labels get prediction files but no scores.
"""

from detectron2.config import LazyCall as L
from omegaconf import DictConfig

from langdg_d2.data import TestMapper, evaluation_loader
from langdg_d2.data.datasets import image_folder
from langdg_d2.evaluation import (
    PredictionWriter,
    StreamingSemSegEvaluator,
    evaluator_if,
    protocol_augmentations,
    protocol_dataset,
)
from langdg_d2.visualization import OverlayWriter

# Registered data set of each domain.
DATASETS = dict(
    gta5="gta5_sem_seg_val",
    synthia="synthia_sem_seg_val",
    cityscapes="cityscapes_sem_seg_val",
    bdd100k="bdd100k_sem_seg_val",
    mapillary="mapillary_sem_seg_val",
    mapillary_b="mapillary_b_sem_seg_val",
    acdc_fog="acdc_fog_sem_seg_val",
    acdc_night="acdc_night_sem_seg_val",
    acdc_rain="acdc_rain_sem_seg_val",
    acdc_snow="acdc_snow_sem_seg_val",
    dark_zurich="dark_zurich_sem_seg_val",
    idd="idd_sem_seg_val",
    urbansyn="urbansyn_sem_seg_all",
)


# Test sets without public labels; `evaluation.predictions` writes files for their servers.
UNLABELLED = dict(
    cityscapes_test="cityscapes_sem_seg_test",
    bdd100k_test="bdd100k_sem_seg_test",
    acdc_fog_test="acdc_fog_sem_seg_test",
    acdc_night_test="acdc_night_sem_seg_test",
    acdc_rain_test="acdc_rain_sem_seg_test",
    acdc_snow_test="acdc_snow_sem_seg_test",
)
_NAMES = {**DATASETS, **UNLABELLED}


def test_loader(domain: str, name: str) -> DictConfig:
    """Loader of single images, cropped as the protocol says; whole images without labels."""
    return L(evaluation_loader)(
        dataset=L(protocol_dataset)(
            names=name,
            protocol="${evaluation.protocol}",
            domain=domain,
        ),
        mapper=L(TestMapper)(
            augmentations=L(protocol_augmentations)(
                protocol="${evaluation.protocol}",
                domain=domain,
                corruption="${evaluation.corruption.name}",
                severity="${evaluation.corruption.severity}",
            )
        ),
        # Classes that the labels must have.
        classes="${model.classes}",
        num_workers=2,
    )


def scores(name: str) -> DictConfig:
    """Evaluator of the IoU of the scored classes."""
    evaluator = L(StreamingSemSegEvaluator)(
        dataset_name=name,
        class_names="${model.classes.names}",
        ignore_label="${model.classes.ignore_label}",
        scored_classes="${evaluation.classes}",
    )
    return L(evaluator_if)(wanted="${evaluation.scores}", evaluator=evaluator)


def overlays(name: str) -> DictConfig:
    """Writer of overlays of the best and the worst predictions."""
    evaluator = L(OverlayWriter)(
        output_dir="${train.output_dir}/overlays",
        dataset_name=name,
        classes="${model.classes}",
        scored_classes="${evaluation.classes}",
        best=3,
        worst=3,
        palette="${evaluation.palette}",
    )
    return L(evaluator_if)(wanted="${evaluation.overlays}", evaluator=evaluator)


def predictions(name: str) -> DictConfig:
    """Writer of all predictions as files, if `evaluation.predictions` is set."""
    return L(PredictionWriter)(
        output_dir="${train.output_dir}/predictions",
        dataset_name=name,
        encoding="${evaluation.predictions}",
        classes="${model.classes}",
    )


test = {domain: test_loader(domain, name) for domain, name in _NAMES.items()}
evaluators = {
    domain: [scores(name), overlays(name), predictions(name)] for domain, name in DATASETS.items()
}
evaluators |= {domain: [predictions(name)] for domain, name in UNLABELLED.items()}

# Your own images, below `evaluation.folder`.
test["folder"] = L(evaluation_loader)(
    dataset=L(image_folder)(folder="${evaluation.folder}"),
    mapper=L(TestMapper)(augmentations=[]),
    num_workers=2,
)
evaluators["folder"] = [predictions("folder")]
evaluators["folder"][0].root = "${evaluation.folder}"

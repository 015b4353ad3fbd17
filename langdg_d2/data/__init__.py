"""Data sets, augmentations, mappers and loaders."""

from .corruptions import CORRUPTIONS, Corruption
from .dataset_mapper import TestMapper, TrainMapper
from .datasets import DatasetError, image_folder
from .image_io import ImageFileError, read_image, to_rgb
from .loaders import (
    ReadableImages,
    SeededBatches,
    TrainingStream,
    evaluation_loader,
    training_loader,
)
from .rare_classes import RareClasses
from .sources import SourceMapper, source_dataset
from .transforms import (
    CenterCrop,
    ColorJitter,
    FamixCropOrPad,
    PadToSize,
    PhotometricDistortion,
    RandomCrop,
    RandomCropOfClasses,
    RandomScale,
    ResizeToHeight,
)
from .uncompressed import copy_uncompressed

__all__ = [
    "CORRUPTIONS",
    "CenterCrop",
    "ColorJitter",
    "Corruption",
    "DatasetError",
    "FamixCropOrPad",
    "ImageFileError",
    "PadToSize",
    "PhotometricDistortion",
    "RandomCrop",
    "RandomCropOfClasses",
    "RandomScale",
    "RareClasses",
    "ReadableImages",
    "ResizeToHeight",
    "SeededBatches",
    "SourceMapper",
    "TestMapper",
    "TrainMapper",
    "TrainingStream",
    "copy_uncompressed",
    "evaluation_loader",
    "image_folder",
    "read_image",
    "source_dataset",
    "to_rgb",
    "training_loader",
]

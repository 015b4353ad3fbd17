"""Data sets, image augmentation, and the mappers that feed the model."""

from .dataset_mapper import TestMapper, TrainMapper
from .datasets import DatasetError
from .image_io import ImageFileError
from .seeded_batches import SeededBatches
from .transforms import ColorJitter, RandomCrop

__all__ = [
    "ColorJitter",
    "DatasetError",
    "ImageFileError",
    "RandomCrop",
    "SeededBatches",
    "TestMapper",
    "TrainMapper",
]

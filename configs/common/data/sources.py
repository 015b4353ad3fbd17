"""Training loaders for labelled sources, with the paper's image augmentation."""

import torch
from detectron2.config import LazyCall as L
from detectron2.data import transforms as T
from omegaconf import DictConfig

from langdg_d2.data import (
    ColorJitter,
    PadToSize,
    PhotometricDistortion,
    RandomCrop,
    RandomCropOfClasses,
    RandomScale,
    SourceMapper,
    TrainMapper,
    source_dataset,
    training_loader,
)


def crops() -> list[DictConfig]:
    """Random crops at the original scale."""
    return [L(RandomCrop)(crop_size="${dataloader.crop_size}")]


def scaled_crops(size: list[int]) -> list[DictConfig]:
    """Random crops after scaling by 0.5 to 2, resized to the training size."""
    return [
        L(RandomScale)(lowest=0.5, highest=2.0),
        L(PadToSize)(size=size, label_fill="${model.classes.ignore_label}"),
        L(RandomCrop)(crop_size=size),
        L(T.Resize)(shape="${dataloader.crop_size}"),
    ]


def street_crops(size: list[int]) -> list[DictConfig]:
    """Random crops that no class dominates, after scaling by 0.5 to 2 (Rein, SoMA)."""
    return [
        L(T.ResizeShortestEdge)(
            short_edge_length=[int(size[0] * k / 10) for k in range(5, 21)],
            max_size=4 * size[0],
            sample_style="choice",
        ),
        L(PadToSize)(size=size, label_fill="${model.classes.ignore_label}"),
        L(RandomCropOfClasses)(
            crop_size=size, max_share=0.75, ignore_label="${model.classes.ignore_label}"
        ),
    ]


def street_mapper(crops: list[DictConfig]) -> DictConfig:
    """Mapper with horizontal flips and photometric distortion, without patch classes."""
    return L(TrainMapper)(
        augmentations=[
            *crops,
            L(T.RandomFlip)(prob=0.5, horizontal=True),
            L(PhotometricDistortion)(),
        ]
    )


def train_mapper(crops: list[DictConfig]) -> DictConfig:
    """Mapper with colour jitter and horizontal flips, the paper's augmentation."""
    return L(TrainMapper)(
        augmentations=[
            *crops,
            # Factors in 0.2..1.8, in random order.
            L(ColorJitter)(brightness=0.8, contrast=0.8, saturation=0.8),
            L(T.RandomFlip)(prob=0.5, horizontal=True),
        ],
        # Grid of patches; the class of a patch selects its styles.
        patch_grid="${styles.grid}",
    )


def train_loader(names: str | list[str], mapper: DictConfig) -> DictConfig:
    """Loader of batches of 8 images over all processes, from one or several sources."""
    return L(training_loader)(
        # Name of a data set, or a list of names.
        dataset=L(source_dataset)(names=names),
        mapper=mapper,
        # Sampling weight of each source, such as {gta5_sem_seg_train:1,synthia_sem_seg_train:1}
        # (quoted on command lines); null for one pool of all images.
        source_weights=None,
        # Rare-class sampling, L(RareClasses)(temperature=0.01, min_pixels=3000); null for epochs
        # over all images.
        rare_classes=None,
        # Number of unreadable images to replace before failing (also in mining).
        unreadable_limit=0,
        # Images per batch over all processes.
        total_batch_size=8,
        # Seed for image order and augmentation, with any number of processes and workers.
        seed="${train.seed}",
        # Loader workers per training process.
        num_workers=4,
        # Classes that the labels must have.
        classes="${model.classes}",
        # Pinned memory, for non-blocking copies to the GPU.
        pin_memory=torch.cuda.is_available(),
    )


def by_source(mappers: dict[str, DictConfig]) -> DictConfig:
    """Use a different mapper for each source."""
    return L(SourceMapper)(**mappers)

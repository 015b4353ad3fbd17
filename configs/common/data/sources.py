"""Training loaders over labelled source sets, with the paper's image augmentation."""

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
    """Crops of the source's own scale."""
    return [L(RandomCrop)(crop_size="${dataloader.crop_size}")]


def scaled_crops(size: list[int]) -> list[DictConfig]:
    """Crops of a size, of the source at half to twice its scale, resized to the training size."""
    return [
        L(RandomScale)(lowest=0.5, highest=2.0),
        L(PadToSize)(size=size, label_fill="${model.classes.ignore_label}"),
        L(RandomCrop)(crop_size=size),
        L(T.Resize)(shape="${dataloader.crop_size}"),
    ]


def street_crops(size: list[int]) -> list[DictConfig]:
    """Crops that no class fills, of the source at half to twice the size (Rein, SoMA)."""
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
    """Crops with horizontal flip and photometric distortion, without patches."""
    return L(TrainMapper)(
        augmentations=[
            *crops,
            L(T.RandomFlip)(prob=0.5, horizontal=True),
            L(PhotometricDistortion)(),
        ]
    )


def train_mapper(crops: list[DictConfig]) -> DictConfig:
    """Crops with colour jitter and horizontal flip."""
    return L(TrainMapper)(
        augmentations=[
            *crops,
            # Factors in 0.2..1.8, in random order.
            L(ColorJitter)(brightness=0.8, contrast=0.8, saturation=0.8),
            L(T.RandomFlip)(prob=0.5, horizontal=True),
        ],
        # Patches; the class of each decides on its style.
        patch_grid="${styles.grid}",
    )


def train_loader(names: str | list[str], mapper: DictConfig) -> DictConfig:
    """Batches of 8, over all processes, from one source set or several."""
    return L(training_loader)(
        # A name, or a list of names.
        dataset=L(source_dataset)(names=names),
        mapper=mapper,
        # How often images of each source are seen, such as {gta5_sem_seg_train:1,
        # synthia_sem_seg_train:1} (in quotation marks on command lines); null for one pool of all.
        source_weights=None,
        # Draw images by their rare classes, L(RareClasses)(temperature=0.01, min_pixels=3000);
        # null for epochs of all images.
        rare_classes=None,
        # Number of unreadable images to replace before failing (also in mining).
        unreadable_limit=0,
        # Images in an iteration, shared by all processes.
        total_batch_size=8,
        # Seed of image order and augmentation, for any number of processes and workers.
        seed="${train.seed}",
        # Worker processes that read and augment, for each training process.
        num_workers=4,
        # Classes that the labels must have.
        classes="${model.classes}",
        # Pinned memory, for non-blocking copies to the GPU.
        pin_memory=torch.cuda.is_available(),
    )


def by_source(mappers: dict[str, DictConfig]) -> DictConfig:
    """A mapper of its own for each source."""
    return L(SourceMapper)(**mappers)

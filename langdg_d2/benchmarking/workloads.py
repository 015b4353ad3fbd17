"""What is timed: a step of training, of mining, of inference, of loading."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle
from typing import Any, cast

import torch
from detectron2.config import instantiate
from detectron2.utils import comm
from detectron2.utils.events import EventStorage
from omegaconf import DictConfig

from ..data import dataset_mapper
from ..engine import SegmentationTrainer, distribute
from ..evaluation import build_inference
from ..layers import fold
from ..modeling import LangDGSegmentor
from ..modeling.feature_augmentation import FeatureAugmentation
from ..structures import PatchGrid
from ..styles import BankStyles, PatchStyleMixer, choose_patches
from ..utils.amp import memory_format_of
from .synthetic import random_bank, random_images, random_labels, training_batch
from .timing import PhaseTimer

_BATCHES = 2  # different ones, in turn


@dataclass(frozen=True, kw_only=True)
class Workload:
    """Something to time.

    Attributes:
        step: what is repeated.
        items: what a step of this process gets done, in units.
        unit: "images" or "style-steps".
    """

    step: Callable[[], object]
    items: float
    unit: str


def train(cfg: DictConfig, timer: PhaseTimer) -> Workload:
    """An iteration of the trainer on random crops, restyled from a random bank."""
    model = _model(cfg).train()
    if cfg.styles.augmentation:
        mixing = timer.timed(_mixer(cfg, model), "mixing")
        model.feature_augmentation = cast("FeatureAugmentation", mixing)
    _watch(timer, model)
    timer.watch(model.criterion, "forward", "loss")
    cfg.optimizer.params.model = model
    batches = cycle(_training_batches(cfg))
    trainer = SegmentationTrainer(
        model=distribute(model, **cfg.train.ddp),
        loader=iter(timer.timed(batches.__next__, "data"), None),
        optimizer=instantiate(cfg.optimizer),
        precision=cfg.train.precision,
        accumulate=cfg.train.accumulate,
        log_period=cfg.train.log_period,
    )
    fold(model, frozen_only=True)  # as `trainer.train`
    timer.watch(trainer, "backward", "backward")
    timer.watch(trainer, "update", "optimizer")
    images = _images_of_process(cfg) * cfg.train.accumulate
    return Workload(step=_iteration(trainer), items=images, unit="images")


def mine(cfg: DictConfig, timer: PhaseTimer) -> Workload:
    """The styles of a batch of random crops; a step of one style is a style-step."""
    cfg.styles.mining.miner.clip.weights = None
    miner = instantiate(cfg.styles.mining.miner)
    count, size = cfg.styles.mining.batches.batch_size, cfg.dataloader.crop_size
    images = random_images(count, size)
    labels = random_labels(count, size, cfg.model.sem_seg_head.num_classes)
    header = miner.header(source="random numbers", seed=0, settings={})
    grid: PatchGrid = instantiate(cfg.styles.grid)
    styles = len(choose_patches(grid.majority(labels)))

    def step() -> None:
        generator = torch.Generator().manual_seed(0)
        miner.mine(images, labels, header=header, generator=generator)

    return Workload(step=step, items=styles * cfg.styles.mining.miner.pin.steps, unit="style-steps")


def infer(cfg: DictConfig, timer: PhaseTimer, *, size: tuple[int, int]) -> Workload:
    """Predictions of one image of height and width."""
    model = _model(cfg).eval()
    _watch(timer, model)
    inference = build_inference(model, **cfg.evaluation.inference)
    fold(model)
    inputs = [{"image": random_images(1, size)[0]}]
    return Workload(step=lambda: inference(inputs), items=1, unit="images")


def load(cfg: DictConfig, timer: PhaseTimer) -> Workload:
    """A batch of the config's source set, read and augmented by this process alone."""
    settings = cfg.dataloader.train
    mapper = settings.mapper = instantiate(settings.mapper)
    mapper.augmentations = timer.timed(mapper.augmentations, "augmentation")
    timer.watch(dataset_mapper, "read_rgb", "image file")
    timer.watch(dataset_mapper, "read_train_ids", "label file")
    settings.num_workers = 0
    batches = iter(instantiate(settings))
    return Workload(step=lambda: next(batches), items=_images_of_process(cfg), unit="images")


WORKLOADS: dict[str, Callable[..., Workload]] = {
    "train": train,
    "mine": mine,
    "infer": infer,
    "loader": load,
}


def _model(cfg: DictConfig) -> LangDGSegmentor:
    """With random weights, which compute as fast as others."""
    cfg.model.backbone.tower.weights = None
    model: LangDGSegmentor = instantiate(cfg.model)
    memory_format = memory_format_of(cfg.train.memory_format)
    return model.to(cfg.train.device).to(memory_format=memory_format)


def _watch(timer: PhaseTimer, model: LangDGSegmentor) -> None:
    timer.watch(model.backbone, "forward_low", "trunk")
    timer.watch(model.backbone, "forward_high", "trunk")
    timer.watch(model, "head_logits", "head")


def _mixer(cfg: DictConfig, model: LangDGSegmentor) -> PatchStyleMixer:
    """The config's, with a random bank."""
    settings = cfg.styles.augmentation.mixer
    grid: PatchGrid = instantiate(cfg.styles.grid)
    known = {
        "class_names": list(cfg.styles.mining.miner.prompts.class_names),
        "ignore_label": cfg.model.classes.ignore_label,
    }
    bank = random_bank(model.backbone, grid=grid, **known)
    styles = BankStyles(bank=bank, grid=grid, **known)
    styles.prepare(model.backbone)
    weights = instantiate(settings.weights)
    return PatchStyleMixer(grid=grid, styles=styles, weights=weights)


def _training_batches(cfg: DictConfig) -> list[list[dict[str, Any]]]:
    return [
        training_batch(
            _images_of_process(cfg),
            cfg.dataloader.crop_size,
            instantiate(cfg.styles.grid),
            cfg.model.sem_seg_head.num_classes,
            pinned=cfg.train.device != "cpu",
        )
        for _ in range(_BATCHES)
    ]


def _images_of_process(cfg: DictConfig) -> int:
    """Of a batch, as Detectron2's loader shares it out."""
    return int(cfg.dataloader.train.total_batch_size) // comm.get_world_size()


def _iteration(trainer: SegmentationTrainer) -> Callable[[], None]:
    trainer.iter, trainer.max_iter = 0, sys.maxsize

    def step() -> None:
        with EventStorage(trainer.iter) as trainer.storage:
            trainer.run_step()
        trainer.iter += 1

    return step

"""What a run is asked to do, checked before it writes, mines or trains anything."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from detectron2.config import LazyCall, instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf
from torch import nn

from ..data.sources import SourceTurns
from ..modeling.backbone.layers import LAYERS, STRIDES
from ..structures import PatchGrid, patch_stats
from ..styles import NoiseStyles
from ..utils.amp import dtype_of, memory_format_of
from ..utils.errors import LangDGError
from ..utils.file_io import require_writable

# Whole numbers and the least that they may be.
_WHOLE = {
    "train.max_iter": 1,
    "train.accumulate": 1,
    "train.eval_period": 0,
    "train.best_period": 0,
    "train.log_period": 1,
    "train.checkpointer.period": 1,
    "dataloader.train.total_batch_size": 1,
    "dataloader.train.num_workers": 0,
    "dataloader.train.unreadable_limit": 0,
    "styles.seed": 0,
    "styles.mining.batches.batch_size": 1,
    "styles.mining.batches.unreadable_limit": 0,
    "styles.mining.checkpoint_period": 1,
    "styles.mining.num_workers": 0,
}
# Whole numbers from 1 on, or null for no limit.
_LIMITS = (
    "train.checkpointer.max_to_keep",
    "styles.mining.batches.max_batches",
    "styles.mining.max_styles_per_class",
)
_FLAGS = ("train.deterministic", "train.cudnn_benchmark")
_SEEDS = 1 << 32  # NumPy takes no larger ones
_BATCH_NORMS = ("BN", "SyncBN")
_MIXED = "styles.augmentation.mixer.styles"


def check_config(cfg: DictConfig, *, processes: int) -> None:
    """See that a run can be what its config asks for; what the config does not have is not missed.

    Args:
        cfg: the config, its device as it will be used.
        processes: that share a batch.

    Raises:
        LangDGError: names the key, its value, and what it can be.
        OSError: if the output folder or the bank could not be written.
    """
    for key, least in _WHOLE.items():
        _require_whole(cfg, key, least)
    for key in _LIMITS:
        if OmegaConf.select(cfg, key) is not None:
            _require_whole(cfg, key, 1)
    for key in ("train.seed", "dataloader.train.seed"):  # a negative one draws one
        _require_whole(cfg, key, -_SEEDS, _SEEDS - processes)
    for key in _FLAGS:
        _require_flag(cfg, key)
    _require_places(cfg)
    _require_device(cfg.train.device)
    memory_format_of(cfg.train.memory_format)
    for precision in (cfg.train.precision, cfg.evaluation.inference.precision):
        dtype_of(precision, torch.device(cfg.train.device).type)
    _require_batch(cfg, processes)
    _require_source_weights(cfg)
    _require_crop(cfg)
    _require_styles(cfg)
    _require_schedule(cfg)


def _require_whole(cfg: DictConfig, key: str, least: int, most: int | None = None) -> None:
    value = OmegaConf.select(cfg, key, default=least)
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if not is_whole or value < least or value > (value if most is None else most):
        bounds = f"of {least} or more" if most is None else f"from {least} to {most}"
        raise LangDGError(f"{key} is {value!r}, expected a whole number {bounds}")


def _require_flag(cfg: DictConfig, key: str) -> None:
    value = OmegaConf.select(cfg, key, default=False)
    if not isinstance(value, bool):
        raise LangDGError(f"{key} is {value!r}, expected True or False")


def _require_places(cfg: DictConfig) -> None:
    folder, bank = cfg.train.output_dir, OmegaConf.select(cfg, "styles.bank")
    if not isinstance(folder, str) or not folder:
        raise LangDGError(f"train.output_dir is {folder!r}, expected the name of a folder")
    require_writable(Path(folder))
    if bank is not None and not Path(bank).is_file():
        if Path(bank).is_dir():
            raise LangDGError(f"styles.bank '{bank}' is a folder, expected the name of a file")
        require_writable(Path(bank).parent)


def _require_device(name: Any) -> None:
    try:
        device = torch.device(name)
        count = torch.get_device_module(device).device_count()
    except (RuntimeError, TypeError) as error:
        raise LangDGError(
            f"train.device is {name!r}, expected one such as 'cuda', 'cuda:1' or 'cpu'"
        ) from error
    if (device.index or 0) >= count:
        raise LangDGError(
            f"train.device is '{name}', of which there are {count}; --num-gpus 0 takes the CPU"
        )


def _require_batch(cfg: DictConfig, processes: int) -> None:
    total = OmegaConf.select(cfg, "dataloader.train.total_batch_size")
    if total is None:
        return
    if total % processes:
        raise LangDGError(
            f"dataloader.train.total_batch_size is {total}, expected a multiple of the {processes} "
            "processes that share it (--num-gpus)"
        )
    if total < 2 and OmegaConf.select(cfg, "model.sem_seg_head.norm") in _BATCH_NORMS:
        raise LangDGError(
            f"dataloader.train.total_batch_size is {total}, expected 2 or more: the head "
            "normalises over the images of a batch"
        )


def _require_source_weights(cfg: DictConfig) -> None:
    weights = OmegaConf.select(cfg, "dataloader.train.source_weights")
    names = OmegaConf.select(cfg, "dataloader.train.dataset.names")
    if weights is not None and names is not None:  # the loader checks those of other data sets
        SourceTurns(weights=weights, sources=[names] if isinstance(names, str) else names, seed=0)


def _require_crop(cfg: DictConfig) -> None:
    crop = OmegaConf.select(cfg, "dataloader.crop_size")
    if crop is None:
        return
    is_size = isinstance(crop, ListConfig) and len(crop) == 2
    if not is_size or any(type(side) is not int or side < 1 for side in crop):
        raise LangDGError(
            f"dataloader.crop_size is {crop!r}, expected height and width in pixels as [768,768]"
        )
    grid = instantiate(cfg.styles.grid)
    if cfg.styles.augmentation is None or not isinstance(grid, PatchGrid):
        return
    layer = OmegaConf.select(cfg, "model.backbone.restyled_layer")
    if layer not in LAYERS:  # the backbone says which there are
        return
    stride = STRIDES[LAYERS.index(layer)]
    # The first convolution rounds up, all that follow round down.
    size = [-(-side // 2) // (stride // 2) for side in crop]
    try:
        patch_stats(torch.zeros(1, 1, *size), grid)
    except LangDGError as error:
        raise LangDGError(
            f"dataloader.crop_size is {list(crop)}, too small for the patches of styles.grid after "
            f"'{layer}': {error}"
        ) from error


def _require_styles(cfg: DictConfig) -> None:
    """Build what is cheap of mining and mixing: their own checks would come after the mining."""
    for key in ("prompts", "pin"):
        instantiate(OmegaConf.select(cfg, f"styles.mining.miner.{key}"))
    if OmegaConf.select(cfg, _MIXED) is not None:
        cfg = deepcopy(cfg)
        OmegaConf.update(cfg, _MIXED, None)
        OmegaConf.update(cfg, _MIXED, LazyCall(NoiseStyles)(snr_db=0.0))  # for styles to be mined
        instantiate(cfg.styles.augmentation)


def _require_schedule(cfg: DictConfig) -> None:
    """Build optimizer and schedule over no model: their own checks would come after it."""
    if {"optimizer", "lr_scheduler"} <= set(cfg):
        cfg = deepcopy(cfg)
        OmegaConf.update(cfg, "optimizer.params", None)
        OmegaConf.update(cfg, "optimizer.params", LazyCall(_a_parameter)())
        cfg.lr_scheduler.optimizer = instantiate(cfg.optimizer)
        instantiate(cfg.lr_scheduler)


def _a_parameter() -> list[nn.Parameter]:
    return [nn.Parameter(torch.zeros(1))]

"""What every tool does first: config, device, threads, seeds, logging and the output folder."""

import logging
import os
from argparse import Namespace
from pathlib import Path
from typing import Any

import cv2
import torch
from detectron2.engine import default_setup
from detectron2.utils import comm
from detectron2.utils.logger import setup_logger
from omegaconf import DictConfig, OmegaConf

from ..data.sources import as_names
from ..modeling import ClipResNet, LangDGSegmentor
from ..structures import patch_stats
from ..utils.amp import memory_format_of
from ..utils.errors import LangDGError, escape_unprintable, require_int
from ..utils.file_io import require_writable
from ..utils.provenance import leaves, plain_data
from ..utils.seeding import SEEDS, derived_seed, seed_globally
from .config import compose, load_config

logger = logging.getLogger(__name__)


def setup(args: Namespace) -> DictConfig:
    """The config a tool was started with, and this process prepared for it.

    Only the log is begun in the output folder: an error before `start_run` leaves an earlier run's
    `config.yaml` untouched. From then on OpenCV computes in one thread, and torch computes
    deterministically if `train.deterministic` is set.

    Args:
        args: of Detectron2's `default_argument_parser`; `--num-gpus 0` puts `train.device` on the
            CPU.
    """
    cfg = load_config(args.config_file, args.opts)
    if args.num_gpus == 0:
        cfg.train.device = "cpu"
    _require_same_command(cfg, args)
    _require_outputs(cfg.train.output_dir, OmegaConf.select(cfg, "styles.bank"))
    _require_device(cfg.train.device)
    require_int("train.seed", cfg.train.seed, -SEEDS, SEEDS - comm.get_world_size())
    # Before loaders start: OpenCV would start as many threads as cores in every worker, and a
    # forked worker waits forever for threads that its parent had.
    cv2.setNumThreads(1)
    if cfg.train.deterministic:
        compute_deterministically(cfg)
    _begin_log(cfg.train.output_dir)
    return cfg


def _require_same_command(cfg: DictConfig, args: Namespace) -> None:
    """Refuse processes, as of several machines, that were started with other settings."""
    if comm.get_world_size() == 1:
        return
    options = {name: vars(args).get(name) for name in ("resume", "eval_only")}
    first, *others = comm.all_gather({**options, **dict(leaves(plain_data(cfg)))})
    for rank, other in enumerate(others, start=1):
        for key in {**first, **other}:
            if first.get(key) != other.get(key):
                raise LangDGError(
                    f"process 0 was started with {key}={first.get(key)!r}, process {rank} with "
                    f"{other.get(key)!r}: start the same command on every machine"
                )


def start_run(cfg: DictConfig, args: Namespace) -> None:
    """Detectron2's `default_setup`: record config, versions and machine, and seed everything.

    Args:
        cfg: of `setup`, from which everything has been composed.
        args: of the tool, as for `setup`.
    """
    default_setup(cfg, args)
    tower = cfg.model.backbone.tower
    if tower.weights is None and not args.eval_only:
        logger.warning(
            "CLIP '%s' has random weights, as model.backbone.tower.weights is null: mined styles "
            "and what a checkpoint does not replace mean nothing",
            tower.name,
        )
    _warn_of_another_source(cfg)


def build_model(cfg: DictConfig, *, with_clip: bool) -> LangDGSegmentor:
    """The config's model where and how it will run; the config is left as it was.

    Weights that are drawn at random follow from `train.seed`.

    Args:
        cfg: of `setup`.
        with_clip: with CLIP's weights, which a checkpoint's would replace.
    """
    tower = cfg.model.backbone.tower
    weights = tower.weights
    if cfg.train.seed >= 0:  # independent of earlier draws
        seed_globally(derived_seed(cfg.train.seed, purpose="weights"))
    else:
        torch.seed()  # the default generator begins with the same seed in every process
    try:
        tower.weights = weights if with_clip else None
        model = compose(cfg, "model")
    finally:
        tower.weights = weights  # mining needs CLIP's own
    memory_format = memory_format_of(cfg.train.memory_format)
    return model.to(device=cfg.train.device, memory_format=memory_format)


def require_patches(cfg: DictConfig, backbone: ClipResNet) -> None:
    """Refuse crops whose restyled features are too small for the patches of `styles.grid`.

    Args:
        cfg: of `setup`; a config without `dataloader.crop_size` passes.
        backbone: that will compute them; run once on a black crop, in eval mode.
    """
    crop = OmegaConf.select(cfg, "dataloader.crop_size")
    if crop is None:
        return
    black, was_training = next(backbone.parameters()).new_zeros(1, 3, *crop), backbone.training
    try:
        with torch.no_grad():
            low = backbone.eval().forward_low(black)
        patch_stats(low[backbone.restyled], compose(cfg, "styles.grid"))
    except LangDGError as error:
        raise LangDGError(
            f"dataloader.crop_size is {list(crop)}, too small for the patches of styles.grid after "
            f"'{backbone.restyled_layer}': {error}"
        ) from error
    finally:
        backbone.train(was_training)


def compute_deterministically(cfg: DictConfig) -> None:
    """Let torch use only operations that give the same bits every time, in all of this process.

    An operation that cannot is an error from then on, which names it. cuDNN's choice by speed is
    turned off in the config.
    """
    if cfg.train.seed < 0:
        raise LangDGError(
            f"train.deterministic=True with train.seed={cfg.train.seed}, which draws another seed "
            "every time: choose one from 0 on"
        )
    cfg.train.cudnn_benchmark = False
    torch.backends.cudnn.deterministic = True
    # cuBLAS reads it with its first product; both permitted sizes of its memory give the same.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)


def _require_outputs(folder: Any, bank: str | None) -> None:
    if not isinstance(folder, str) or not folder:
        raise LangDGError(f"train.output_dir is {folder!r}, expected the name of a folder")
    require_writable(Path(folder))
    if bank is not None and not Path(bank).is_file():  # it may be mined
        if Path(bank).is_dir():
            raise LangDGError(f"styles.bank '{bank}' is a folder, expected the name of a file")
        require_writable(Path(bank).parent)


def _require_device(name: Any) -> None:
    try:
        torch.empty(0, device=torch.device(name))
    except (RuntimeError, TypeError, AssertionError) as error:
        raise LangDGError(
            f"train.device is {name!r}, which torch cannot use ({str(error).splitlines()[0]}): "
            "expected one such as 'cuda', 'cuda:1' or 'cpu'; --num-gpus 0 takes the CPU"
        ) from error


def _begin_log(output_dir: str) -> None:
    rank = comm.get_rank()
    setup_logger(output_dir, distributed_rank=rank, name="langdg_d2")
    # Called as `default_setup` does, or handlers would be added twice.
    setup_logger(output_dir, distributed_rank=rank, name="fvcore")
    for handler in setup_logger(output_dir, distributed_rank=rank).handlers:
        escape_unprintable(getattr(handler, "stream", None))  # of the file, which all three share


def _warn_of_another_source(cfg: DictConfig) -> None:
    """Warn where the trained sources and `evaluation.source`, which results name, differ."""
    source = OmegaConf.select(cfg, "evaluation.source")
    names = OmegaConf.select(cfg, "dataloader.train.dataset.names")
    if names is None:  # a data set of the config's own
        return
    names = as_names(names)
    trained = {name.partition("_sem_seg_")[0] for name in names} & {*cfg.dataloader.test}
    if trained != {*as_names(source or ())}:
        logger.warning(
            "evaluation.source is %s, and dataloader.train.dataset.names is %s: results name the "
            "wrong source, and what was trained on may count as an unseen target; make them agree, "
            "as evaluation.source=%s",
            *(source, names, f"[{','.join(sorted(trained))}]" if trained else "null"),
        )

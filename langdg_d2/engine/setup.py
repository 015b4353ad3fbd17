"""What every tool does first: read the config, set up logging, seeds and the output folder."""

import logging
import os
from argparse import Namespace

import torch
from detectron2.config import instantiate
from detectron2.engine import default_setup
from detectron2.utils import comm
from detectron2.utils.logger import setup_logger
from omegaconf import DictConfig, OmegaConf

from ..modeling import LangDGSegmentor
from ..structures.source_names import as_names
from ..utils.amp import memory_format_of
from ..utils.errors import LangDGError, escape_unprintable
from .config_checks import check_config
from .config_files import load_config
from .host import prepare_host
from .randomness import seed_weights

logger = logging.getLogger(__name__)


def setup(args: Namespace) -> DictConfig:
    """The config a tool was started with, checked, and this process prepared for it.

    Of the output folder only the log is begun: what is refused before `start_run` leaves the
    `config.yaml` of an earlier run there as it was. From then on the process uses the computer as
    `prepare_host` says, and torch computes in ways that always give the same bits if
    `train.deterministic` says so.

    Args:
        args: of Detectron2's `default_argument_parser`; `--num-gpus 0` puts `train.device` on the
            CPU.

    Raises:
        FileNotFoundError: if there is no such config file.
        LangDGError: for an override of a key that does not exist.
        LangDGError: for a value that a run could not have, see `check_config`; for deterministic
            computing from a seed that is drawn.
    """
    cfg = load_config(args.config_file, args.opts)
    if args.num_gpus == 0:
        cfg.train.device = "cpu"
    check_config(cfg, processes=comm.get_world_size())  # not after hours
    prepare_host(torch.device(cfg.train.device).type)
    if cfg.train.deterministic:
        compute_deterministically(cfg)
    _begin_log(cfg.train.output_dir)
    return cfg


def start_run(cfg: DictConfig, args: Namespace) -> None:
    """Detectron2's `default_setup`: record config, versions and machine, and seed everything.

    Args:
        cfg: of `setup`, and what can be refused of it refused.
        args: likewise.
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


def _begin_log(output_dir: str) -> None:
    rank = comm.get_rank()
    setup_logger(output_dir, distributed_rank=rank, name="langdg_d2")
    # As `default_setup` calls it: arguments written otherwise would add the same handlers again.
    setup_logger(output_dir, distributed_rank=rank, name="fvcore")
    for handler in setup_logger(output_dir, distributed_rank=rank).handlers:
        escape_unprintable(getattr(handler, "stream", None))  # of the file, which all three share


def build_model(cfg: DictConfig, *, with_clip: bool) -> LangDGSegmentor:
    """The config's model where and how it will run; the config is left as it was.

    What is drawn of its weights follows from `train.seed`.

    Args:
        cfg: of `setup`.
        with_clip: with CLIP's weights, which a checkpoint's would replace.
    """
    tower = cfg.model.backbone.tower
    weights = tower.weights
    seed_weights(cfg.train.seed)
    try:
        tower.weights = weights if with_clip else None
        model = instantiate(cfg.model)
    finally:
        tower.weights = weights  # for mining, which wants CLIP's own
    memory_format = memory_format_of(cfg.train.memory_format)
    return model.to(device=cfg.train.device, memory_format=memory_format)


def compute_deterministically(cfg: DictConfig) -> None:
    """Let torch use only operations that give the same bits every time, in all of this process.

    An operation that cannot is an error from then on, which names it.

    Args:
        cfg: cuDNN's choice by speed is turned off in it.

    Raises:
        LangDGError: if the config's seed is negative, which draws one.
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

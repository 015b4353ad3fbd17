"""What every tool does first: read the config, set up logging, seeds and the output folder."""

import os
from argparse import Namespace

import cv2
import torch
from detectron2.config import LazyConfig
from detectron2.engine import default_setup
from detectron2.utils import comm
from detectron2.utils.logger import setup_logger
from omegaconf import DictConfig

from ..structures import dtype_of
from .overrides import apply_overrides


def setup(args: Namespace) -> DictConfig:
    """The config a tool was started with, after Detectron2's `default_setup`.

    OpenCV computes in one thread from then on, also in loaders' workers, and torch in ways that
    always give the same bits if `train.deterministic` says so.

    Args:
        args: of Detectron2's `default_argument_parser`; `--num-gpus 0` puts `train.device` on the
            CPU.

    Raises:
        KeyError: for an override of a key that does not exist.
        ValueError: for a precision that there is not, or not on the device; for deterministic
            computing from a seed that is drawn.
    """
    cfg = apply_overrides(LazyConfig.load(args.config_file), args.opts)
    if args.num_gpus == 0:
        cfg.train.device = "cpu"
    for precision in (cfg.train.precision, cfg.evaluation.inference.precision):
        dtype_of(precision, torch.device(cfg.train.device).type)  # not after hours
    # Before loaders start: OpenCV's threads would be as many as cores in every worker, and those
    # that have run already do not live on in a forked one, where waiting for them never ends.
    cv2.setNumThreads(1)
    if cfg.train.deterministic:
        compute_deterministically(cfg)
    default_setup(cfg, args)
    setup_logger(cfg.train.output_dir, distributed_rank=comm.get_rank(), name="langdg_d2")
    return cfg


def compute_deterministically(cfg: DictConfig) -> None:
    """Let torch use only operations that give the same bits every time, in all of this process.

    An operation that cannot is an error from then on, which names it.

    Args:
        cfg: cuDNN's choice by speed is turned off in it.

    Raises:
        ValueError: if the config's seed is negative, which draws one.
    """
    if cfg.train.seed < 0:
        raise ValueError(
            f"train.deterministic=True with train.seed={cfg.train.seed}, which draws another seed "
            "every time: choose one from 0 on"
        )
    cfg.train.cudnn_benchmark = False
    torch.backends.cudnn.deterministic = True
    # cuBLAS reads it with its first product; both permitted sizes of its memory give the same.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)

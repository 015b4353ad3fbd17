"""What every tool does first: read the config, set up logging, seeds and the output folder."""

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

    OpenCV computes in one thread from then on, also in loaders' workers.

    Args:
        args: of Detectron2's `default_argument_parser`; `--num-gpus 0` puts `train.device` on the
            CPU.

    Raises:
        KeyError: for an override of a key that does not exist.
        ValueError: for a precision that there is not, or not on the device.
    """
    cfg = apply_overrides(LazyConfig.load(args.config_file), args.opts)
    if args.num_gpus == 0:
        cfg.train.device = "cpu"
    for precision in (cfg.train.precision, cfg.evaluation.inference.precision):
        dtype_of(precision, torch.device(cfg.train.device).type)  # not after hours
    # Before loaders start: OpenCV's threads would be as many as cores in every worker, and those
    # that have run already do not live on in a forked one, where waiting for them never ends.
    cv2.setNumThreads(1)
    default_setup(cfg, args)
    setup_logger(cfg.train.output_dir, distributed_rank=comm.get_rank(), name="langdg_d2")
    return cfg

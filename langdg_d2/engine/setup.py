"""What every tool does first: read the config, set up logging, seeds and the output folder."""

from argparse import Namespace

import cv2
import numpy as np
from detectron2.config import instantiate
from detectron2.engine import default_setup
from detectron2.utils import comm
from detectron2.utils.env import seed_all_rng
from detectron2.utils.logger import setup_logger
from omegaconf import DictConfig
from torch import nn

from .config_checks import check_config
from .config_files import load_config
from .memory import memory_format


def setup(args: Namespace) -> DictConfig:
    """The config a tool was started with, after Detectron2's `default_setup`.

    OpenCV computes in one thread from then on, also in loaders' workers.

    Args:
        args: of Detectron2's `default_argument_parser`; `--num-gpus 0` puts `train.device` on the
            CPU.

    Raises:
        FileNotFoundError: if there is no such config file.
        KeyError: for an override of a key that does not exist.
        ValueError: for a value that a run could not have; see `check_config`.
    """
    cfg = load_config(args.config_file, args.opts)
    if args.num_gpus == 0:
        cfg.train.device = "cpu"
    check_config(cfg, processes=comm.get_world_size())  # not after hours
    # Before loaders start: OpenCV's threads would be as many as cores in every worker, and those
    # that have run already do not live on in a forked one, where waiting for them never ends.
    cv2.setNumThreads(1)
    default_setup(cfg, args)
    setup_logger(cfg.train.output_dir, distributed_rank=comm.get_rank(), name="langdg_d2")
    return cfg


def build_model(cfg: DictConfig, *, with_clip: bool) -> nn.Module:
    """The config's model on its device; the config is left as it was.

    Args:
        cfg: of `setup`.
        with_clip: with CLIP's weights, which a checkpoint's would replace.
    """
    tower = cfg.model.backbone.tower
    weights = tower.weights
    try:
        tower.weights = weights if with_clip else None
        model = instantiate(cfg.model)
    finally:
        tower.weights = weights  # for mining, which wants CLIP's own
    layout = memory_format(cfg.train.memory_format)
    return model.to(cfg.train.device, memory_format=layout)


def reseed(seed: int, *numbers: int) -> None:
    """Start all randomness of this process from the seed and numbers such as rank and iteration.

    A negative seed leaves the randomness as it is, drawn at the start.
    """
    if seed >= 0:
        seed_all_rng(int(np.random.SeedSequence((seed, *numbers)).generate_state(1)[0] >> 1))

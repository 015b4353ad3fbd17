"""What training and evaluation programs do first."""

import argparse
import os
from functools import partial
from typing import Any

import torch
from detectron2.config import LazyConfig
from detectron2.utils import comm
from detectron2.utils.collect_env import collect_env_info
from detectron2.utils.env import seed_all_rng
from detectron2.utils.events import CommonMetricPrinter, EventWriter, JSONWriter, TensorboardXWriter
from detectron2.utils.file_io import PathManager
from detectron2.utils.logger import setup_logger
from omegaconf import DictConfig, OmegaConf
from torch import nn
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import fp16_compress_hook
from torch.nn.parallel import DistributedDataParallel

__all__ = ["create_ddp_model", "default_argument_parser", "default_setup", "default_writers"]


def create_ddp_model(
    model: nn.Module, *, fp16_compression: bool = False, **kwargs: Any
) -> nn.Module:
    """The model in a DistributedDataParallel (on the CPU pass ``device_ids=None``) if need be."""
    if comm.get_world_size() == 1:
        return model
    kwargs.setdefault("device_ids", [comm.get_local_rank()])
    parallel = DistributedDataParallel(model, **kwargs)
    if fp16_compression:
        parallel.register_comm_hook(state=None, hook=fp16_compress_hook)
    return parallel


def default_argument_parser(epilog: str | None = None) -> argparse.ArgumentParser:
    """The arguments of programs around `launch`, and of its processes."""
    # One port per user: processes that a crash left behind make the next run fail visibly.
    user = os.getuid() if hasattr(os, "getuid") else 0
    port = 49152 + user % 16384
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(epilog=epilog, formatter_class=form)
    add = parser.add_argument
    add("--config-file", default="", metavar="FILE", help="the config")
    add("--resume", action="store_true", help="go on from the last checkpoint of the output folder")
    add("--eval-only", action="store_true", help="evaluate without training")
    add("--num-gpus", type=int, default=1, help="processes on each machine")
    add("--num-machines", type=int, default=1, help="machines in total")
    add("--machine-rank", type=int, default=0, help="index of this machine, from 0")
    add("--dist-url", default=f"tcp://127.0.0.1:{port}", help="where the processes meet")
    add("opts", nargs=argparse.REMAINDER, help='changes of the config, "path.key=value"')
    return parser


def default_setup(cfg: DictConfig, args: argparse.Namespace) -> None:
    """Set up logs, seeds and PyTorch from what `cfg.train` has, and record everything."""
    option = partial(OmegaConf.select, OmegaConf.select(cfg, "train", default=OmegaConf.create()))
    output_dir, rank = option("output_dir"), comm.get_rank()
    # As Detectron2 writes these calls: others of the same meaning would add handlers again.
    setup_logger(output_dir, distributed_rank=rank, name="fvcore")
    logger = setup_logger(output_dir, distributed_rank=rank)
    logger.info(f"Rank of current process: {rank}. World size: {comm.get_world_size()}")
    logger.info(f"Environment info:\n{collect_env_info()}")
    logger.info(f"Command line arguments: {args}")
    config_file = getattr(args, "config_file", "")
    if config_file:
        with PathManager.open(config_file) as file:
            logger.info(f"Contents of {config_file}:\n{file.read()}")
    if output_dir and comm.is_main_process():
        path = os.path.join(output_dir, "config.yaml")
        LazyConfig.save(cfg, path)
        logger.info(f"Full config saved to {path}")

    seed = option("seed", default=-1)
    seed_all_rng(None if seed < 0 else seed + rank)
    if not getattr(args, "eval_only", False):  # images of all sizes would be tried out one by one
        torch.backends.cudnn.benchmark = option("cudnn_benchmark", default=False)
    precision = option("float32_precision", default="")
    if precision:
        torch.set_float32_matmul_precision(precision)
        torch.backends.cudnn.allow_tf32 = precision != "highest"


def default_writers(output_dir: str, max_iter: int | None = None) -> list[EventWriter]:
    """Writers to the log, and in a folder, made if need be, to ``metrics.json`` and TensorBoard."""
    PathManager.mkdirs(output_dir)
    metrics_file = os.path.join(output_dir, "metrics.json")
    return [CommonMetricPrinter(max_iter), JSONWriter(metrics_file), TensorboardXWriter(output_dir)]

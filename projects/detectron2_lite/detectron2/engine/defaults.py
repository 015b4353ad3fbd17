"""What training and evaluation programs do at their start."""

import argparse
import logging
import os
import sys
from typing import Any

import torch
from detectron2.config import LazyConfig
from detectron2.utils import comm
from detectron2.utils.collect_env import collect_env_info
from detectron2.utils.env import seed_all_rng
from detectron2.utils.events import (
    CommonMetricPrinter,
    EventWriter,
    JSONWriter,
    TensorboardXWriter,
)
from detectron2.utils.file_io import PathManager
from detectron2.utils.logger import setup_logger
from omegaconf import DictConfig, OmegaConf
from torch import nn
from torch.nn.parallel import DistributedDataParallel

__all__ = [
    "create_ddp_model",
    "default_argument_parser",
    "default_setup",
    "default_writers",
]


def create_ddp_model(
    model: nn.Module, *, fp16_compression: bool = False, **kwargs: Any
) -> nn.Module:
    """Wrap a model in DistributedDataParallel if there are several processes.

    Args:
        fp16_compression: send gradients in half precision.
        kwargs: of DistributedDataParallel. On the CPU pass ``device_ids=None``; by default it is
            the process's own device.
    """
    if comm.get_world_size() == 1:
        return model
    kwargs.setdefault("device_ids", [comm.get_local_rank()])
    parallel = DistributedDataParallel(model, **kwargs)
    if fp16_compression:
        from torch.distributed.algorithms.ddp_comm_hooks import default_hooks

        parallel.register_comm_hook(state=None, hook=default_hooks.fp16_compress_hook)
    return parallel


def default_argument_parser(epilog: str | None = None) -> argparse.ArgumentParser:
    """The arguments that programs around :func:`launch` share.

    Args:
        epilog: ends the help text; by default examples of use.
    """
    program = sys.argv[0]
    parser = argparse.ArgumentParser(
        epilog=epilog
        or f"""
On one machine:
    {program} --num-gpus 8 --config-file config.py train.seed=1

On two machines:
    {program} --num-machines 2 --machine-rank 0 --dist-url <URL> [...]
    {program} --num-machines 2 --machine-rank 1 --dist-url <URL> [...]
""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--config-file", default="", metavar="FILE", help="the config")
    add("--resume", action="store_true", help="go on from the last checkpoint in the output folder")
    add("--eval-only", action="store_true", help="evaluate without training")
    add("--num-gpus", type=int, default=1, help="processes on each machine")
    add("--num-machines", type=int, default=1, help="machines in total")
    add("--machine-rank", type=int, default=0, help="index of this machine, from 0")
    # The same port for all runs of a user: processes that a crash left behind then make the next
    # run fail visibly instead of slowing it down.
    user = os.getuid() if hasattr(os, "getuid") else 1
    port = 49152 + user % 16384
    add("--dist-url", default=f"tcp://127.0.0.1:{port}", help="where the processes meet")
    add(
        "opts",
        nargs=argparse.REMAINDER,
        default=None,
        help='changes of the config, "path.key=value"',
    )
    return parser


def default_setup(cfg: DictConfig, args: argparse.Namespace) -> None:
    """Set up logging and seeds, and record the environment, the arguments and the config.

    Reads ``output_dir`` and ``seed`` (each process adds its rank; below 0 means random),
    ``cudnn_benchmark`` and ``float32_precision``, all under ``cfg.train`` and none required.
    The config is saved as ``config.yaml`` in the output folder.
    """
    output_dir = _first_of(cfg, "OUTPUT_DIR", "output_dir", "train.output_dir")
    rank = comm.get_rank()
    is_writer = comm.is_main_process() and output_dir
    if is_writer:
        PathManager.mkdirs(output_dir)
    setup_logger(output_dir, distributed_rank=rank, name="fvcore")
    logger = setup_logger(output_dir, distributed_rank=rank)
    logger.info(f"Rank of current process: {rank}. World size: {comm.get_world_size()}")
    logger.info(f"Environment info:\n{collect_env_info()}")
    logger.info(f"Command line arguments: {args}")
    config_file = getattr(args, "config_file", "")
    if config_file:
        with PathManager.open(config_file) as file:
            logger.info(f"Contents of args.config_file={config_file}:\n{file.read()}")
    if is_writer:
        path = os.path.join(output_dir, "config.yaml")
        LazyConfig.save(cfg, path)
        logger.info(f"Full config saved to {path}")
    seed = _first_of(cfg, "SEED", "train.seed", default=-1)
    seed_all_rng(None if seed < 0 else seed + rank)
    if not getattr(args, "eval_only", False):
        # its trials take long on the many image sizes of an evaluation
        torch.backends.cudnn.benchmark = _first_of(
            cfg, "CUDNN_BENCHMARK", "train.cudnn_benchmark", default=False
        )
    _set_float32_precision(
        _first_of(cfg, "FLOAT32_PRECISION", "train.float32_precision", default=""), logger
    )


def _first_of(cfg: DictConfig, *keys: str, default: Any = None) -> Any:
    """The value of the first key that the config has."""
    for key in keys:
        value = OmegaConf.select(cfg, key, default=_ABSENT)
        if value is not _ABSENT:
            return value
    return default


_ABSENT = object()


def _set_float32_precision(precision: str, logger: logging.Logger) -> None:
    """Choose "highest", "high" or "medium" for products on CUDA devices; "" changes nothing."""
    if precision and torch.cuda.is_available():
        torch.set_float32_matmul_precision(precision)
        torch.backends.cudnn.allow_tf32 = precision != "highest"
    if precision:
        logger.info(f"Set fp32 precision to {precision}")


def default_writers(output_dir: str, max_iter: int | None = None) -> list[EventWriter]:
    """Writers to the log, to ``metrics.json`` and to TensorBoard, for the last two in a folder.

    Args:
        output_dir: is made if it does not exist.
        max_iter: iterations in total, to estimate the time left.
    """
    PathManager.mkdirs(output_dir)
    return [
        CommonMetricPrinter(max_iter),
        JSONWriter(os.path.join(output_dir, "metrics.json")),
        TensorboardXWriter(output_dir),
    ]

"""Common setup of the tools: config, device, threads, seeds, logging and output folder."""

import logging
import os
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import cv2
import torch
from detectron2.engine import default_setup
from detectron2.utils import comm
from detectron2.utils.logger import setup_logger
from filelock import FileLock, Timeout
from omegaconf import DictConfig, OmegaConf

from ..modeling import Backbone, LangDGSegmentor
from ..structures import patch_stats
from ..utils.amp import memory_format_of
from ..utils.distributed import of_main_process
from ..utils.errors import LangDGError, escape_unprintable, require_int
from ..utils.file_io import require_writable
from ..utils.provenance import differing, plain_data
from ..utils.seeding import SEEDS, derived_seed, seed_globally
from .config import compose, load_config

logger = logging.getLogger(__name__)


def setup(args: Namespace) -> DictConfig:
    """Load and check the config of a command line, and set up this process.

    This limits OpenCV to one thread, enables deterministic algorithms for `train.deterministic`,
    and starts logging. It changes nothing else in the output folder, so that the `config.yaml` of
    an earlier run survives errors until `start_run`.

    Args:
        args: arguments from `argument_parser`; `--num-gpus 0` sets `train.device` to the CPU.

    Returns:
        The config, with overrides.
    """
    cfg = load_config(args.config_file, args.opts)
    if args.num_gpus == 0:
        cfg.train.device = "cpu"
    _require_same_command(cfg, args)
    _require_outputs(cfg.train.output_dir, OmegaConf.select(cfg, "styles.bank"))
    _require_device(cfg.train.device)
    require_int("train.seed", cfg.train.seed, -SEEDS, SEEDS - comm.get_world_size())
    # Otherwise every data loading worker would start a thread per core, and a forked worker would
    # wait forever for its parent's threads.
    cv2.setNumThreads(1)
    if cfg.train.deterministic:
        compute_deterministically(cfg)
    _begin_log(cfg.train.output_dir)
    return cfg


def _require_same_command(cfg: DictConfig, args: Namespace) -> None:
    """Raise an error if processes, perhaps on several machines, have different settings."""
    if comm.get_world_size() == 1:
        return
    options = {name: vars(args).get(name) for name in ("resume", "overwrite", "eval_only")}
    first, *others = comm.all_gather({**options, **plain_data(cfg)})
    for rank, other in enumerate(others, start=1):
        for key, (own, value) in differing(first, other).items():
            raise LangDGError(
                f"process 0 was started with {key}={own!r}, process {rank} with {value!r}: run the "
                "same command on every machine"
            )


@contextmanager
def exclusive(folder: str) -> Iterator[None]:
    """Lock an existing output folder, so that no other run writes to it. Collective.

    The lock of a killed process is released.

    Raises:
        LangDGError: if another run has locked the folder.
    """
    lock = FileLock(Path(folder, ".lock"))

    def acquire() -> None:
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise LangDGError(
                f"another run is writing to '{folder}': wait until it ends, or choose another "
                "train.output_dir"
            ) from error

    of_main_process(acquire)
    try:
        yield
    finally:
        lock.release()


def start_run(cfg: DictConfig, args: Namespace) -> None:
    """Record config, versions and machine, and set all seeds, with Detectron2's `default_setup`.

    Args:
        cfg: config from `setup`, after everything was built from it.
        args: arguments of `setup`.
    """
    default_setup(cfg, args)
    tower = _tower(cfg)
    if tower.weights is None and not args.eval_only:
        logger.warning(
            "the tower '%s' has random weights because model.backbone.tower.weights is null: mined "
            "styles are meaningless, and so are predictions unless a checkpoint replaces the "
            "weights",
            tower.name,
        )


def build_model(cfg: DictConfig, *, load_weights: bool) -> LangDGSegmentor:
    """Build the model of a config on its device; `train.seed` determines random weights.

    Args:
        cfg: config from `setup`, not changed.
        load_weights: whether to load the tower's weights, unnecessary before a checkpoint.
    """
    tower = _tower(cfg)
    weights = tower.weights
    if cfg.train.seed >= 0:  # independent of earlier draws
        seed_globally(derived_seed(cfg.train.seed, purpose="weights"))
    else:
        torch.seed()  # the default generator starts with the same seed in every process
    try:
        tower.weights = weights if load_weights else None
        model = compose(cfg, "model")
    finally:
        tower.weights = weights  # also used by mining
    if tower.name:
        model.normalize.warn_if_different(tower.name)
    memory_format = memory_format_of(cfg.train.memory_format)
    return model.to(device=cfg.train.device, memory_format=memory_format)


def _tower(cfg: DictConfig) -> DictConfig:
    """Return the config's node of CLIP's image tower; custom backbones may have none."""
    unknown = OmegaConf.create({"name": None, "weights": ""})
    return cast("DictConfig", OmegaConf.select(cfg, "model.backbone.tower", default=unknown))


def require_patches(cfg: DictConfig, backbone: Backbone) -> None:
    """Check that the features of training crops are large enough for `styles.grid`.

    Args:
        cfg: config from `setup`; nothing is checked without `dataloader.crop_size`.
        backbone: backbone, which is run once on a black crop in eval mode.

    Raises:
        LangDGError: if the crops are too small.
    """
    crop = OmegaConf.select(cfg, "dataloader.crop_size")
    if crop is None:
        return
    parameter = next(iter(backbone.low_state().values()))
    black, was_training = parameter.new_zeros(1, 3, *crop), backbone.training
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
    """Enable deterministic algorithms in torch, so that other operations raise errors.

    This also turns off `train.cudnn_benchmark` in the config.
    """
    if cfg.train.seed < 0:
        raise LangDGError(
            f"train.deterministic=True with train.seed={cfg.train.seed}, which draws a new seed in "
            "every run: choose a seed of at least 0"
        )
    cfg.train.cudnn_benchmark = False
    torch.backends.cudnn.deterministic = True
    # Read by cuBLAS at its first product; one of its two deterministic values.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)


def _require_outputs(folder: Any, bank: str | None) -> None:
    if not isinstance(folder, str) or not folder:
        raise LangDGError(f"train.output_dir is {folder!r}, expected the path of a folder")
    require_writable(Path(folder))
    if bank is not None and not Path(bank).is_file():  # it will be mined
        if Path(bank).is_dir():
            raise LangDGError(f"styles.bank '{bank}' is a folder, expected the path of a file")
        require_writable(Path(bank).parent)


def _require_device(name: Any) -> None:
    try:
        torch.empty(0, device=torch.device(name))
    except (RuntimeError, TypeError, AssertionError) as error:
        raise LangDGError(
            f"train.device is {name!r}, which torch cannot use ({str(error).splitlines()[0]}): "
            "expected a device such as 'cuda', 'cuda:1' or 'cpu'; --num-gpus 0 selects the CPU"
        ) from error


def _begin_log(output_dir: str) -> None:
    rank = comm.get_rank()
    setup_logger(output_dir, distributed_rank=rank, name="langdg_d2")
    # These are the arguments of `default_setup`; others would add handlers twice.
    setup_logger(output_dir, distributed_rank=rank, name="fvcore")
    for handler in setup_logger(output_dir, distributed_rank=rank).handlers:
        escape_unprintable(getattr(handler, "stream", None))  # the log file's stream is shared

#!/usr/bin/env python
"""Train and evaluate a segmentor described by a LazyConfig file.

    python tools/train_net.py --config-file configs/langdg_gta5.py --num-gpus 8 [--resume]
    python tools/train_net.py --config-file configs/langdg_gta5.py --eval-only

`--num-gpus 0` runs on the CPU, and `--num-gpus 2` runs two CPU processes where there is no GPU.
`key=value` after the options changes the config. `torchrun tools/train_net.py ...` works too.
"""

from argparse import Namespace
from functools import partial

import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import LazyConfig, instantiate
from detectron2.engine import default_argument_parser, default_setup
from detectron2.utils import comm
from detectron2.utils.logger import setup_logger
from omegaconf import DictConfig
from torch import nn

from langdg_d2.engine import (
    apply_overrides,
    build_trainer,
    distribute,
    launch,
    starting_checkpoint,
    training_hooks,
)
from langdg_d2.evaluation import BenchmarkRun, evaluate_domains, headline_figures, write_benchmark


def evaluate(cfg: DictConfig, model: nn.Module, config_file: str) -> dict[str, dict[str, float]]:
    """Score the configured domains, write the benchmark tables, return the main figures."""
    domains = list(cfg.evaluation.domains)
    source = cfg.evaluation.source if cfg.evaluation.source in domains else None
    results = evaluate_domains(
        model,
        {domain: instantiate(cfg.dataloader.test[domain]) for domain in domains},
        {domain: list(instantiate(cfg.dataloader.evaluators[domain])) for domain in domains},
        source=source,
    )
    if comm.is_main_process():
        run = BenchmarkRun(
            protocol=cfg.evaluation.protocol,
            source=source,
            config=config_file,
            seed=cfg.train.seed,
        )
        write_benchmark(results, run, cfg.train.output_dir)
    return headline_figures(results)


def train(cfg: DictConfig, model: nn.Module, args: Namespace) -> None:
    """Train from CLIP's weights, from a checkpoint, or where an interrupted run stopped."""
    cfg.optimizer.params.model = model
    optimizer = instantiate(cfg.optimizer)
    cfg.lr_scheduler.optimizer = optimizer
    model = distribute(model, **cfg.train.ddp)
    trainer = build_trainer(
        model=model,
        loader=instantiate(cfg.dataloader.train),
        optimizer=optimizer,
        mixed_precision=cfg.train.amp.enabled,
    )
    checkpointer = DetectionCheckpointer(model, cfg.train.output_dir, trainer=trainer)
    trainer.register_hooks(
        training_hooks(
            scheduler=instantiate(cfg.lr_scheduler),
            checkpointer=checkpointer,
            checkpointer_options=dict(cfg.train.checkpointer),
            evaluate=partial(evaluate, cfg, model, args.config_file),
            eval_period=cfg.train.eval_period,
            log_period=cfg.train.log_period,
            max_iter=cfg.train.max_iter,
        )
    )
    checkpointer.resume_or_load(cfg.train.init_checkpoint, resume=args.resume)
    resumed = args.resume and checkpointer.has_checkpoint()
    trainer.train(trainer.iter + 1 if resumed else 0, cfg.train.max_iter)


def main(args: Namespace) -> None:
    """What every process runs."""
    cfg = apply_overrides(LazyConfig.load(args.config_file), args.opts)
    if args.num_gpus == 0:
        cfg.train.device = "cpu"
    default_setup(cfg, args)
    setup_logger(cfg.train.output_dir, distributed_rank=comm.get_rank(), name="langdg_d2")

    checkpoint = starting_checkpoint(
        output_dir=cfg.train.output_dir,
        init_checkpoint=cfg.train.init_checkpoint,
        resume=args.resume,
        eval_only=args.eval_only,
    )
    if checkpoint:
        cfg.model.backbone.tower.weights = None  # the checkpoint holds them
    memory_format = getattr(torch, cfg.train.memory_format)
    model = instantiate(cfg.model).to(cfg.train.device, memory_format=memory_format)
    if args.eval_only:
        DetectionCheckpointer(model).load(checkpoint)
        evaluate(cfg, model, args.config_file)
    else:
        train(cfg, model, args)


if __name__ == "__main__":
    arguments = default_argument_parser().parse_args()
    launch(
        main,
        num_gpus=arguments.num_gpus,
        num_machines=arguments.num_machines,
        machine_rank=arguments.machine_rank,
        dist_url=arguments.dist_url,
        args=(arguments,),
    )

#!/usr/bin/env python
"""Mine styles, train and evaluate, as a LazyConfig file says.

    python tools/train_net.py --config-file configs/langdg_gta5.py --num-gpus 8 [--resume]
    python tools/train_net.py --config-file configs/langdg_gta5.py --eval-only

Training first mines the style bank where there is none. `--num-gpus 0` runs on the CPU; without a
GPU, `--num-gpus 2` runs two CPU processes.
`key=value` after the options changes the config. `torchrun tools/train_net.py ...` works too.
"""

import logging
from argparse import Namespace
from functools import partial

import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import instantiate
from detectron2.engine import default_argument_parser
from detectron2.utils import comm
from omegaconf import DictConfig
from torch import nn

from langdg_d2.engine import (
    StyleAugmentationHook,
    build_trainer,
    distribute,
    launch,
    setup,
    starting_checkpoint,
    training_hooks,
)
from langdg_d2.evaluation import BenchmarkRun, evaluate_domains, headline_figures, write_benchmark
from langdg_d2.modeling import training_summary
from langdg_d2.styles import ensure_bank

logger = logging.getLogger("langdg_d2.train_net")


def evaluate(
    cfg: DictConfig, model: nn.Module, config_file: str, styles: StyleAugmentationHook | None
) -> dict[str, dict[str, float]]:
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
            sections={"Styles": styles.report()} if styles else {},
        )
        write_benchmark(results, run, cfg.train.output_dir)
    return headline_figures(results)


def train(cfg: DictConfig, model: nn.Module, args: Namespace) -> None:
    """Train from CLIP's weights, from a checkpoint, or where an interrupted run stopped."""
    logger.info("What trains:\n%s", training_summary(model.train()))
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
    styles = instantiate(cfg.styles.augmentation) if cfg.styles.augmentation else None
    checkpointer = DetectionCheckpointer(model, cfg.train.output_dir, trainer=trainer)
    trainer.register_hooks(
        training_hooks(
            scheduler=instantiate(cfg.lr_scheduler),
            checkpointer=checkpointer,
            checkpointer_options=dict(cfg.train.checkpointer),
            evaluate=partial(evaluate, cfg, model, args.config_file, styles),
            eval_period=cfg.train.eval_period,
            log_period=cfg.train.log_period,
            max_iter=cfg.train.max_iter,
            extra=[styles] if styles else [],
        )
    )
    checkpointer.resume_or_load(cfg.train.init_checkpoint, resume=args.resume)
    resumed = args.resume and checkpointer.has_checkpoint()
    trainer.train(trainer.iter + 1 if resumed else 0, cfg.train.max_iter)


def main(args: Namespace) -> None:
    """What every process runs."""
    cfg = setup(args)
    checkpoint = starting_checkpoint(
        output_dir=cfg.train.output_dir,
        init_checkpoint=cfg.train.init_checkpoint,
        resume=args.resume,
        eval_only=args.eval_only,
    )
    if not args.eval_only and cfg.styles.augmentation and cfg.styles.bank:
        mine = partial(instantiate, cfg.styles.mining) if cfg.styles.mine_if_missing else None
        ensure_bank(cfg.styles.bank, mine=mine)
    if checkpoint:
        cfg.model.backbone.tower.weights = None  # the checkpoint holds them
    memory_format = getattr(torch, cfg.train.memory_format)
    model = instantiate(cfg.model).to(cfg.train.device, memory_format=memory_format)
    if args.eval_only:
        DetectionCheckpointer(model).load(checkpoint)
        evaluate(cfg, model, args.config_file, styles=None)
    else:
        train(cfg, model, args)


if __name__ == "__main__":
    launch(main, default_argument_parser().parse_args())

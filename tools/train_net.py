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
from collections.abc import Iterable
from functools import partial

from detectron2.config import instantiate
from detectron2.engine import default_argument_parser
from detectron2.utils import comm
from omegaconf import DictConfig
from torch import nn

from langdg_d2 import engine, evaluation
from langdg_d2.modeling import training_summary
from langdg_d2.styles import ensure_bank

logger = logging.getLogger("langdg_d2.train_net")


def evaluate(
    cfg: DictConfig,
    loaders: dict[str, Iterable],
    model: nn.Module,
    config_file: str,
    weights: str | None,
    styles: engine.StyleAugmentationHook | None,
) -> dict[str, dict[str, float]]:
    """Score the configured domains, write the benchmark tables, return the main figures."""
    model = evaluation.build_inference(model, **cfg.evaluation.inference)
    run = evaluation.BenchmarkRun(
        inference=evaluation.inference_name(model),
        config_file=config_file,
        config=cfg,
        weights=weights,
        seed=cfg.train.seed,
        sections={"Styles": styles.report()} if styles else {},
        **{key: cfg.evaluation[key] for key in ("protocol", "source", "groups", "published")},
    )
    evaluators = {d: list(instantiate(cfg.dataloader.evaluators[d])) for d in loaders}
    return evaluation.run_benchmark(model, loaders, evaluators, run, cfg.train.output_dir)


def train(cfg: DictConfig, loaders: dict[str, Iterable], model: nn.Module, args: Namespace) -> None:
    """Train from CLIP's weights, from a checkpoint, or where an interrupted run stopped."""
    logger.info("What trains:\n%s", training_summary(model.train()))
    cfg.optimizer.params.model = model
    optimizer = instantiate(cfg.optimizer)
    cfg.lr_scheduler.optimizer = optimizer
    model = engine.distribute(model, **cfg.train.ddp)
    trainer = engine.build_trainer(
        model=model,
        loader=(),
        optimizer=optimizer,
        mixed_precision=cfg.train.amp.enabled,
    )
    styles = instantiate(cfg.styles.augmentation) if cfg.styles.augmentation else None
    checkpointer = engine.StrictCheckpointer(model, cfg.train.output_dir, trainer=trainer)
    trainer.register_hooks(
        engine.training_hooks(
            scheduler=instantiate(cfg.lr_scheduler),
            checkpointer=checkpointer,
            checkpointer_options=dict(cfg.train.checkpointer),
            evaluate=partial(evaluate, cfg, loaders, model, args.config_file, None, styles),
            eval_period=cfg.train.eval_period,
            log_period=cfg.train.log_period,
            max_iter=cfg.train.max_iter,
            extra=[styles] if styles else [],
        )
    )
    checkpointer.resume_or_load(cfg.train.init_checkpoint, resume=args.resume)
    resumed = args.resume and checkpointer.has_checkpoint()
    start = trainer.iter + 1 if resumed else 0
    # A resumed run goes on with other images than those it began with.
    engine.reseed(cfg.train.seed, comm.get_rank(), start)
    trainer.data_loader = instantiate(cfg.dataloader.train)
    trainer.train(start, cfg.train.max_iter)


def main(args: Namespace) -> None:
    """What every process runs."""
    cfg = engine.setup(args)
    checkpoint = engine.starting_checkpoint(
        output_dir=cfg.train.output_dir,
        init_checkpoint=cfg.train.init_checkpoint,
        resume=args.resume,
        eval_only=args.eval_only,
    )
    # First of all: a missing target should not show after hours of training.
    if cfg.evaluation.published:
        evaluation.published_figures(cfg.evaluation.published)
    loaders = {d: instantiate(cfg.dataloader.test[d]) for d in cfg.evaluation.domains}
    if not args.eval_only and cfg.styles.augmentation and cfg.styles.bank:
        mine = partial(instantiate, cfg.styles.mining) if cfg.styles.mine_if_missing else None
        ensure_bank(cfg.styles.bank, mine=mine)
    if checkpoint:
        cfg.model.backbone.tower.weights = None  # the checkpoint holds them
    memory_format = engine.memory_format(cfg.train.memory_format)
    model = instantiate(cfg.model).to(cfg.train.device, memory_format=memory_format)
    if args.eval_only:
        engine.StrictCheckpointer(model).load(checkpoint)
        evaluate(cfg, loaders, model, args.config_file, checkpoint, styles=None)
    else:
        train(cfg, loaders, model, args)


if __name__ == "__main__":
    engine.launch(main, default_argument_parser().parse_args())

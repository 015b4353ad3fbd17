#!/usr/bin/env python
"""Mine styles, train and evaluate, as a LazyConfig file says.

    python tools/train_net.py --config-file configs/langdg_gta5.py --num-gpus 8 [--resume]
    python tools/train_net.py --config-file configs/langdg_gta5.py --eval-only

Training first mines the style bank where there is none; a report is written at the end. On the CPU,
`--num-gpus 0` is one process and 2 are two; torchrun works too. `key=value` changes the config.
"""

import logging
from argparse import Namespace
from collections.abc import Callable, Iterable
from functools import partial
from math import gcd

from detectron2.config import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import nn

from langdg_d2 import engine, evaluation, visualization
from langdg_d2.modeling import training_summary
from langdg_d2.structures.source_names import as_names
from langdg_d2.styles import ensure_bank
from langdg_d2.utils.errors import LangDGError


def targets(
    cfg: DictConfig, trained: Iterable[str] = ()
) -> tuple[dict[str, Iterable], dict[str, list], dict[str, str]]:
    """Loaders and evaluators of the configured domains, and which are not the published sets.

    `trained` are the files of training's images, which should be none of those scored.
    """
    settings = {k: cfg.evaluation[k] for k in ("source", "groups", "published", "inference")}
    domains = cfg.evaluation.domains
    evaluation.check_settings(domains=domains, known=list(cfg.dataloader.test), **settings)
    evaluators = {d: list(instantiate(cfg.dataloader.evaluators[d])) for d in domains}
    evaluation.check_evaluators(evaluators, source=settings["source"], groups=settings["groups"])
    loaders = {domain: instantiate(cfg.dataloader.test[domain]) for domain in domains}
    # Those that choose weights, too.
    chosen_on = as_names(settings["source"] or ()) if cfg.train.best_period else []
    looked_at = [*domains, *chosen_on]
    names = {d: OmegaConf.select(cfg.dataloader.test[d], "dataset.names") for d in looked_at}
    return loaders, evaluators, evaluation.incomplete_sets(names, trained)


def evaluate(
    cfg: DictConfig,
    tested: tuple[dict[str, Iterable], dict[str, list], dict[str, str]],
    config_file: str,
    model: nn.Module,
    *,
    weights: str | None,
    styles: engine.StyleAugmentationHook | None,
) -> dict[str, dict[str, float]]:
    """Score the configured domains, write the benchmark tables, return the main figures."""
    loaders, evaluators, sets = tested
    model = evaluation.build_inference(model, **cfg.evaluation.inference)
    run = evaluation.BenchmarkRun(
        protocol=evaluation.protocol_name(cfg.evaluation.protocol, **cfg.evaluation.corruption),
        inference=evaluation.inference_name(model),
        config_file=config_file,
        config=cfg,
        sets=sets,
        weights=weights,
        seed=None if weights else cfg.train.seed,
        styles=styles.record() if styles else None,
        sections={"Styles": styles.report()} if styles else {},
        **{key: cfg.evaluation[key] for key in ("source", "groups", "published")},
    )
    return evaluation.run_benchmark(model, loaders, evaluators, run, cfg.train.output_dir)


def selection(cfg: DictConfig) -> Callable[[nn.Module], dict] | None:
    """What chooses the weights to keep: the score on the source's own validation set."""
    if not cfg.train.best_period:
        return None
    if not isinstance(source := cfg.evaluation.source, str):
        raise LangDGError(
            f"train.best_period chooses on evaluation.source, which is {source}, not one domain"
        )
    loaders = {source: instantiate(cfg.dataloader.test[source])}
    classes = cfg.model.classes
    scores = evaluation.StreamingSemSegEvaluator(
        dataset_name=source,
        class_names=classes.names,
        ignore_label=classes.ignore_label,
        scored_classes=cfg.evaluation.classes,
    )

    def score(model: nn.Module) -> dict:
        model = evaluation.build_inference(model, **cfg.evaluation.inference)
        results = evaluation.evaluate_domains(model, loaders, {source: scores}, source=source)
        return {"source": results[source].get("sem_seg", {})}

    return score


def train(
    cfg: DictConfig,
    model: nn.Module,
    score: Callable,
    choose: Callable | None,
    start: engine.Beginning,
    settings: engine.RunSettings,
) -> None:
    """Train from CLIP's weights, from a checkpoint, or where an interrupted run stopped."""
    logging.getLogger("langdg_d2").info("What trains:\n%s", training_summary(model.train()))
    cfg.optimizer.params.model = model
    cfg.lr_scheduler.optimizer = optimizer = instantiate(cfg.optimizer)
    model = engine.distribute(model, **cfg.train.ddp)
    period = gcd(cfg.train.log_period, cfg.train.checkpointer.period)  # no weights before losses
    how = {key: cfg.train[key] for key in ("precision", "accumulate")} | {"log_period": period}
    trainer = engine.SegmentationTrainer(model=model, loader=(), optimizer=optimizer, **how)
    seeds = engine.SeededIterations(cfg.train.seed)
    styles = instantiate(cfg.styles.augmentation) if cfg.styles.augmentation else None
    best = (
        engine.selection_hooks(
            evaluate=partial(choose, model),
            period=cfg.train.best_period,
            model=model,
            output_dir=cfg.train.output_dir,
        )
        if choose
        else []
    )
    parts = {"settings": settings, "trainer": trainer}
    checkpointer = engine.StrictCheckpointer(model, cfg.train.output_dir, **parts)
    trainer.register_hooks(
        engine.training_hooks(
            scheduler=instantiate(cfg.lr_scheduler),
            checkpointer=checkpointer,
            checkpointer_options=dict(cfg.train.checkpointer),
            evaluate=partial(score, model, weights=None, styles=styles),
            eval_period=cfg.train.eval_period,
            log_period=cfg.train.log_period,
            max_iter=cfg.train.max_iter,
            extra=[seeds, styles] if styles else [seeds],
            selection=best,
        )
    )
    first = checkpointer.start(start.checkpoint, resume=start.resumed)
    cfg.train.seed = seeds.seed  # drawn or resumed, if the config leaves it open
    cfg.dataloader.train.first_batch = first * cfg.train.accumulate
    trainer.data_loader = instantiate(cfg.dataloader.train)
    trainer.train(first, cfg.train.max_iter)


def main(args: Namespace) -> None:
    """What every process runs."""
    cfg = engine.setup(args)
    dataset = None if args.eval_only else OmegaConf.select(cfg, "dataloader.train.dataset")
    dataset = instantiate(dataset) or ()
    settings = engine.RunSettings(evaluation.plain_data(cfg), dataset)
    start = engine.starting_checkpoint(
        **{key: cfg.train[key] for key in ("output_dir", "init_checkpoint", "max_iter")},
        resume=args.resume,
        eval_only=args.eval_only,
        settings=settings,
    )
    # First of all: a missing target or weights should not show after hours.
    score = partial(
        evaluate, cfg, targets(cfg, [x["file_name"] for x in dataset]), args.config_file
    )
    choose = selection(cfg)
    model = engine.build_model(cfg, with_clip=not start.checkpoint)
    engine.start_run(cfg, args)
    if not args.eval_only and cfg.styles.augmentation and cfg.styles.bank:
        mine = partial(instantiate, cfg.styles.mining) if cfg.styles.mine_if_missing else None
        ensure_bank(cfg.styles.bank, mine=mine)
    if args.eval_only:
        content = engine.StrictCheckpointer(model).load(start.checkpoint)
        settings.warn_of_other_training(start.checkpoint, content)
        score(model, weights=start.checkpoint, styles=None)
    else:
        train(cfg, model, score, choose, start, settings)
    visualization.write_report_of_run(cfg.train.output_dir)


if __name__ == "__main__":
    engine.launch(main, engine.argument_parser().parse_args())

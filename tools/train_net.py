#!/usr/bin/env python
"""Mine styles, train and evaluate with a LazyConfig file.

    python tools/train_net.py --config-file configs/langdg_gta5.py --num-gpus 8
    python tools/train_net.py --config-file configs/langdg_gta5.py --eval-only

Training mines the style bank first if it does not exist, and writes a report at the end. An output
folder that contains an earlier run requires `--resume` or `--overwrite`. `--num-gpus 0` runs one
process on the CPU; torchrun works as well. `key=value` overrides a config key.
"""

from langdg_d2.utils.arguments import argument_parser

if __name__ == "__main__":
    ARGUMENTS = argument_parser(__doc__).parse_args()  # first: the imports below take seconds

import logging
import shutil
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from detectron2.engine import HookBase
from detectron2.utils import comm
from omegaconf import DictConfig, OmegaConf
from torch import nn

from langdg_d2 import engine, evaluation, visualization
from langdg_d2.data.datasets.builtin import FAMILIES
from langdg_d2.data.sources import as_names, images_fingerprint
from langdg_d2.engine import compose
from langdg_d2.modeling import LangDGSegmentor, training_summary
from langdg_d2.styles import SourceMining, StyleBank
from langdg_d2.utils.distributed import of_main_process
from langdg_d2.utils.errors import LangDGError, shortened
from langdg_d2.utils.provenance import plain_data

logger = logging.getLogger("langdg_d2")

TABLES = ("benchmark.md", "benchmark.csv", "details.json", "images.csv", "report.html")


def compose_evaluation(
    cfg: DictConfig,
    config_file: str,
    model: nn.Module,
    dataset: Sequence[dict[str, Any]],
    trained: engine.RunSettings,
) -> Callable[..., dict[str, dict[str, float]]]:
    """Build the function that scores the model on the domains and writes the benchmark tables.

    Args:
        cfg: config of the run.
        config_file: path of the config.
        model: model to evaluate.
        dataset: dataset dicts of training, whose images should not be scored.
        trained: settings of the run, with the sources that the weights were trained on.
    """
    settings = cfg.evaluation
    scored = {d: compose(cfg, f"dataloader.test.{d}.dataset") for d in settings.domains}
    run = evaluation.BenchmarkRun(
        protocol=evaluation.protocol_name(settings.protocol, **settings.corruption),
        config_file=config_file,
        images={domain: images_fingerprint(images) for domain, images in scored.items() if images},
        **{key: settings[key] for key in ("source", "groups", "published")},
    )
    parts = {"loaders": "dataloader.test", "evaluators": "dataloader.evaluators"}
    benchmark = evaluation.Benchmark(
        run=run,
        domains=settings.domains,
        **{
            part: {d: partial(compose, cfg, f"{key}.{d}") for d in OmegaConf.select(cfg, key)}
            for part, key in parts.items()
        },
    )
    require_one_protocol(cfg)
    source = as_names(settings.source or ())
    domains = [*settings.domains, *(source if cfg.train.best_period else ())]
    names = {d: OmegaConf.select(cfg.dataloader.test[d], "dataset.names") for d in domains}
    sets = evaluation.incomplete_sets(names, [x["file_name"] for x in dataset])
    for domain in settings.domains:
        loader = cfg.dataloader.test[domain]
        parts = [OmegaConf.select(loader, key) for key in ("mapper.augmentations", "dataset")]
        if domain not in FAMILIES:  # your own loaders may leave images as they are
            parts = [part for part in parts[:1] if part]
        if not all(isinstance(part, DictConfig) and "protocol" in part for part in parts):
            sets[domain] = f"{sets.get(domain, '')}; loaded by the config's own parts".strip("; ")
            logger.warning("%s: %s, so its scores are not comparable", domain, sets[domain])
    if dataset:  # warn before training
        evaluation.with_training(sets, names, trained, source=source)
    model = evaluation.build_inference(model, **settings.inference)

    def score(
        *,
        progress: tuple[int, int] | None,
        restyling: engine.StyleAugmentationHook | None = None,
        **facts: Any,
    ) -> dict[str, dict[str, float]]:
        known = evaluation.with_training(sets, names, trained, source=source, progress=progress)
        if restyling:
            facts |= {"styles": restyling.record(), "sections": {"Styles": restyling.report()}}
        return benchmark.run(model, cfg.train.output_dir, config=cfg, sets=known, **facts)

    return score


def require_one_protocol(cfg: DictConfig) -> None:
    """Require that all domains use the settings of `evaluation`, which the tables report."""
    settings = plain_data(cfg.evaluation)
    expected = {
        "protocol": settings["protocol"],
        "corruption": settings["corruption"]["name"],
        "severity": settings["corruption"]["severity"],
        "scored_classes": settings["classes"],
    }
    for domain, (key, value) in product(settings["domains"], expected.items()):
        parts = {part: cfg.dataloader[part][domain] for part in ("test", "evaluators")}
        for own in values_of(plain_data(parts), key):
            if own != value:
                raise LangDGError(
                    f"domain '{domain}' has the {key} {own!r}, but the tables report {value!r} of "
                    "`evaluation` for all domains: use that, and score others in another run"
                )


def values_of(data: Any, key: str) -> Iterator[Any]:
    """Yield all values of a key in nested plain data."""
    if isinstance(data, dict):
        if key in data:
            yield data[key]
        data = list(data.values())
    for part in data if isinstance(data, list) else ():
        yield from values_of(part, key)


def compose_selection(
    cfg: DictConfig, model: nn.Module, settings: engine.RunSettings
) -> list[HookBase]:
    """Build the hooks that keep the weights with the best score on the source's validation set."""
    if not cfg.train.best_period:
        return []
    if not isinstance(source := cfg.evaluation.source, str):
        raise LangDGError(
            f"train.best_period needs a single domain as evaluation.source, not {source}"
        )
    loaders = {source: compose(cfg, f"dataloader.test.{source}")}
    classes = cfg.model.classes
    scores = evaluation.StreamingSemSegEvaluator(
        dataset_name=source,
        class_names=classes.names,
        ignore_label=classes.ignore_label,
        scored_classes=cfg.evaluation.classes,
    )
    inference = evaluation.build_inference(model, **cfg.evaluation.inference)

    def score() -> dict:
        results = evaluation.evaluate_domains(inference, loaders, {source: scores})
        return {"source": results[source]["sem_seg"]} if results else {}

    images = compose(cfg, f"dataloader.test.{source}.dataset")
    validation = {
        "images": images_fingerprint(images),
        "loader": cfg.dataloader.test[source],
        **{key: cfg.evaluation[key] for key in ("classes", "corruption", "inference", "protocol")},
    }
    hook = engine.BestWeightsHook(
        evaluate=score,
        period=cfg.train.best_period,
        model=model,
        output_dir=cfg.train.output_dir,
        settings=settings,
        validated_on=plain_data(validation),
    )
    return [hook]


def compose_training(
    cfg: DictConfig,
    model: nn.Module,
    score: Callable[..., dict],
    start: engine.StartingPoint,
    settings: engine.RunSettings,
) -> engine.SegmentationTrainer:
    """Build the trainer and load the weights that the run starts from."""
    cfg = deepcopy(cfg)  # results record the original config
    cfg.optimizer.params.model = model
    cfg.lr_scheduler.optimizer = optimizer = compose(cfg, "optimizer")
    batch = OmegaConf.select(cfg, "dataloader.train.total_batch_size")
    logger.info("What trains:\n%s", training_summary(model.train()))
    distributed = engine.distribute(model, total_batch_size=batch, **cfg.train.ddp)
    trainer = engine.SegmentationTrainer(
        model=distributed,
        loader=(),
        optimizer=optimizer,
        checkpoint_period=cfg.train.checkpointer.period,
        **{key: cfg.train[key] for key in ("precision", "accumulate", "log_period")},
    )
    seeds = engine.SeededIterations(cfg.train.seed)
    styles = compose(cfg, "styles.augmentation")
    length = cfg.train.max_iter
    palette = visualization.palette_named(cfg.evaluation.palette, compose(cfg, "model.classes"))

    def evaluate() -> dict[str, dict[str, float]]:
        done = min(trainer.iter + 1, length)  # after training, iter already equals the length
        if styles:
            settings.add_changes(styles.changed)
            visualization.put_restyling(styles.mixer.last, palette)
        return score(
            progress=(done, length),
            restyling=styles,
            seed=seeds.seed,
            trained=engine.training_settings(settings.state_dict()),
        )

    parts = {"settings": settings, "trainer": trainer}
    checkpointer = engine.StrictCheckpointer(
        distributed,
        cfg.train.output_dir,
        same_classes=start.resumed,  # a new run may have others than its initial checkpoint
        **parts,
    )
    trainer.register_hooks(
        engine.training_hooks(
            scheduler=compose(cfg, "lr_scheduler"),
            checkpointer=checkpointer,
            checkpointer_options=dict(cfg.train.checkpointer),
            evaluate=evaluate,
            eval_period=cfg.train.eval_period,
            log_period=cfg.train.log_period,
            max_iter=length,
            extra=[seeds, *([styles] if styles else []), *(compose(cfg, "train.hooks") or ())],
            selection=compose_selection(cfg, model, settings),
            writers=compose(cfg, "train.writers") or (),
        )
    )
    trainer.start_iter = checkpointer.start(start.checkpoint, resume=start.resumed)
    cfg.train.seed = seeds.seed  # drawn or resumed, if negative in the config
    if trainer.start_iter:  # other loaders may lack this argument, and cannot be resumed exactly
        cfg.dataloader.train.first_batch = trainer.start_iter * cfg.train.accumulate
    trainer.data_loader = compose(cfg, "dataloader.train")
    return trainer


def compose_mining(cfg: DictConfig) -> SourceMining | None:
    """Build the mining of the style bank; None if the bank exists or training needs none."""
    bank = cfg.styles.bank
    if not (cfg.styles.augmentation and bank) or of_main_process(Path(bank).is_file):
        return None
    if not cfg.styles.mine_if_missing:
        raise FileNotFoundError(
            f"there is no style bank at '{bank}': mine it with tools/mine_styles.py and this "
            "config, pass styles.bank=FILE, or set styles.mine_if_missing=true"
        )
    logger.warning("there is no style bank at '%s'; mining it before training", bank)
    return compose(cfg, "styles.mining")


def earlier_results(cfg: DictConfig, args: Namespace) -> list[Path]:
    """Return checkpoints and results in the output folder, which `--overwrite` replaces.

    A log and a config alone, left by a run that failed before its first checkpoint, do not count.
    """
    folder = Path(cfg.train.output_dir)
    names = (engine.PRETRAINED, engine.ADAPTER, evaluation.RECORD)
    patterns = ("last_checkpoint", "model_*.pth", *names, *TABLES, "overlays", "predictions")
    files = [path for pattern in patterns for path in sorted(folder.glob(pattern))]
    # The options of Detectron2's own parser lack `overwrite`.
    if files and not (args.resume or args.eval_only or getattr(args, "overwrite", False)):
        raise LangDGError(
            f"'{folder}' contains an earlier run ({shortened(path.name for path in files)}): pass "
            "--resume to continue it, --overwrite to replace it, or another train.output_dir"
        )
    return files


def main(args: Namespace) -> None:
    """Run the command in every process."""
    cfg = engine.setup(args)
    with engine.exclusive(cfg.train.output_dir):
        run(cfg, args)


def run(cfg: DictConfig, args: Namespace) -> None:
    """Train or evaluate a model."""
    earlier = of_main_process(partial(earlier_results, cfg, args))
    dataset = () if args.eval_only else compose(cfg, "dataloader.train.dataset") or ()
    incomplete = evaluation.incomplete_sources(dataset)
    settings = engine.RunSettings(plain_data(cfg), dataset, incomplete)
    start = engine.find_starting_point(
        **{key: cfg.train[key] for key in ("output_dir", "init_checkpoint", "max_iter")},
        resume=args.resume,
        eval_only=args.eval_only,
        settings=settings,
    )
    model = engine.build_model(cfg, load_weights=not start.checkpoint)
    score = compose_evaluation(cfg, args.config_file, model, dataset, settings)
    if args.eval_only:
        engine.start_run(cfg, args)
        content = engine.StrictCheckpointer(model).load(start.checkpoint)
        settings.warn_of_other_training(start.checkpoint, content)
        settings.begin_with(content)
        score(weights=start.checkpoint, **engine.training_facts(content))
    else:
        mining = compose_mining(cfg)
        trainer = compose_training(cfg, model, score, start, settings)
        if cfg.styles.augmentation:
            engine.require_patches(cfg, model.backbone)
        engine.start_run(cfg, args)
        if comm.is_main_process() and not start.resumed:
            for path in earlier:  # otherwise mistaken for this run's after an interruption
                if path.is_dir():
                    shutil.rmtree(path)
                elif path.resolve() != Path(start.checkpoint).resolve():
                    path.unlink()
        if mining:
            mining.run()
            del mining  # frees the memory of its CLIP
        bank = OmegaConf.select(cfg, "styles.augmentation.mixer.styles.bank")
        if bank:
            settings.add_source(StyleBank.load(bank).header.source)
        trainer.train(trainer.start_iter, cfg.train.max_iter)
        notes = {"sources": settings.sources, "iterations": cfg.train.max_iter}
        if comm.is_main_process():
            save_pretrained(cfg, model, notes)
    visualization.write_report_of_run(cfg.train.output_dir)


def save_pretrained(cfg: DictConfig, model: LangDGSegmentor, notes: dict[str, Any]) -> None:
    """Write the model with its description, and its adapter separately if it has one.

    Models with parts that a file cannot describe are not written.
    """
    path = Path(cfg.train.output_dir, engine.PRETRAINED)
    try:
        header = engine.describe_model(cfg, notes)
    except LangDGError as error:
        logger.info("not writing '%s': %s", path, error)
        return
    engine.save_pretrained(path, model=model, header=header)
    if OmegaConf.select(cfg, "model.backbone.adapter"):
        weights = cfg.model.backbone.tower.weights
        path = path.with_name(engine.ADAPTER)
        engine.save_adapter(path, model=model, header=header, weights=weights)


if __name__ == "__main__":
    engine.launch(main, ARGUMENTS)

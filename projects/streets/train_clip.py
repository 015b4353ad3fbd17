"""Train the small CLIP on generated scenes, test it zero-shot, and write weights and model card.

Example:
    python projects/streets/train_clip.py --output output/small_clip --workers 2

If the command was interrupted, run it again to continue.
"""

import argparse
import json
import platform
from pathlib import Path
from typing import Any

import torch
from streets.clip.appearances import CONDITIONS, STYLES, WORLD_LOOKS
from streets.clip.batches import BatchSettings, PlaceIndex
from streets.clip.crops import PoolSettings, draw_pool, open_pool, start_worker
from streets.clip.model_card import model_card
from streets.clip.training import (
    ClipTrainer,
    TrainSettings,
    input_size,
    load_small_clip,
    write_weights,
)
from streets.clip.zero_shot import rendered_accuracy, zero_shot

from langdg_d2.utils.errors import report_errors
from langdg_d2.utils.file_io import write_atomically

_CONFIG = Path(__file__).with_name("configs") / "small_clip.json"

# Seeds of scenes, far from those of benchmarks.
_TRAIN_SCENES = 9_100_000
_HELD_OUT_SCENES = 9_200_000
_RENDERED_SCENES = 9_400_000
_CROPS_PER_CLASS = 12
_RAMP = (0.15, 0.5)  # shares of the steps; see `BatchSettings.ramp`


def argument_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add(
        "--output",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder for scenes, checkpoint and results",
    )
    add("--config", type=Path, default=_CONFIG, metavar="JSON", help="architecture")
    add("--scenes", type=int, default=4000, metavar="N", help="training scenes, 0.4 MB each [4000]")
    add("--held-out", type=int, default=400, metavar="N", help="test scenes [400]")
    add("--rendered", type=int, default=40, metavar="N", help="test scenes per rendered look [40]")
    add("--steps", type=int, default=10_000, metavar="N", help="training steps [10000]")
    add("--images", type=int, default=64, metavar="N", help="crops per step [64]")
    add("--lr", type=float, default=1.5e-3, help="highest learning rate [0.0015]")
    add(
        "--small-share",
        type=float,
        default=0.8,
        metavar="S",
        help="share of steps on 64-pixel crops [0.8]",
    )
    add("--seed", type=int, default=0, help="seed of scenes and training [0]")
    add("--workers", type=int, default=2, metavar="N", help="worker processes [2]")
    return parser


def _settings(options: argparse.Namespace) -> TrainSettings:
    return TrainSettings(
        steps=options.steps,
        lr=options.lr,
        warmup=min(200, options.steps // 10),
        small_share=options.small_share,
        batches=BatchSettings(
            images=options.images,
            ramp=(round(_RAMP[0] * options.steps), round(_RAMP[1] * options.steps)),
            seed=options.seed,
        ),
    )


def _draw_scenes(options: argparse.Namespace) -> tuple[Path, Path]:
    folders = (options.output / "scenes", options.output / "held_out")
    counts = (options.scenes, options.held_out)
    seeds = (_TRAIN_SCENES + options.seed, _HELD_OUT_SCENES + options.seed)
    for folder, count, seed in zip(folders, counts, seeds, strict=True):
        draw_pool(folder, PoolSettings(scenes=count, seed=seed), workers=options.workers)
        PlaceIndex(open_pool(folder))  # detects too few scenes before the training
    return folders


def _write_results(
    options: argparse.Namespace, settings: TrainSettings, results: dict[str, Any], minutes: float
) -> None:
    weights = _weights(options)
    clip = load_small_clip(str(options.config), str(weights))
    threads = torch.get_num_threads()
    facts = {
        "name": options.config.stem,
        "tower": type(getattr(clip.visual, "trunk", clip.visual)).__name__,
        "parameters": sum(p.numel() for p in clip.parameters()) / 1e6,
        "size": input_size(clip),
        "megabytes": weights.stat().st_size / 1e6,
        "command": f"python projects/streets/train_clip.py --output output/{options.config.stem} "
        + _arguments(options),
        "minutes": minutes,
        "machine": f"{threads} CPU thread{'s' * (threads > 1)} ({platform.machine()})",
        "scenes": options.scenes,
        "held_out": options.held_out,
        "rendered_scenes": options.rendered,
        "steps": settings.steps,
        "images": settings.batches.images,
        "plain_share": settings.batches.plain_share,
        "unnamed_share": settings.batches.unnamed_share,
        "world_looks": ", ".join(WORLD_LOOKS),
        "conditions": len(CONDITIONS),
        "styles": len(STYLES),
    }
    record = json.dumps({**facts, **results}, indent=1)
    write_atomically(options.output / "clip.json", (record + "\n").encode())
    write_atomically(options.output / "README.md", model_card(results, facts=facts).encode())


def _weights(options: argparse.Namespace) -> Path:
    return Path(options.output, f"{options.config.stem}.safetensors")


def _arguments(options: argparse.Namespace) -> str:
    """Format the command-line settings other than folders."""
    names = (
        *(() if options.config == _CONFIG else ("config",)),
        "scenes",
        "held_out",
        "rendered",
        "steps",
        "images",
        "lr",
        "small_share",
        "seed",
        "workers",
    )
    return " ".join(f"--{name.replace('_', '-')} {getattr(options, name)}" for name in names)


def main(arguments: list[str] | None = None) -> None:
    """Run the command."""
    options = argument_parser().parse_args(arguments)
    settings = _settings(options)
    start_worker()  # before OpenCV starts threads that forked processes would wait for
    with report_errors():
        scenes, held_out = _draw_scenes(options)
        trainer = ClipTrainer(
            clip_name=str(options.config),
            pool=scenes,
            settings=settings,
            checkpoint=options.output / "checkpoint.pt",
            workers=options.workers,
        )
    weights = _weights(options)
    write_weights(weights, trainer.train())
    clip = load_small_clip(str(options.config), str(weights))
    common = {"clip_name": str(options.config), "crops_per_class": _CROPS_PER_CLASS}
    results = zero_shot(clip, pool=open_pool(held_out), **common)
    rendered = PoolSettings(scenes=options.rendered, seed=_RENDERED_SCENES + options.seed)
    results["rendered"] = rendered_accuracy(clip, settings=rendered, **common)
    _write_results(options, settings, results, trainer.seconds / 60)
    print(
        f"class {results['class_accuracy']:.1%}, look {results['look_accuracy']:.1%}, both "
        f"{results['joint_accuracy']:.1%} of {results['crops']} held-out crops; {weights}"
    )


if __name__ == "__main__":
    main()

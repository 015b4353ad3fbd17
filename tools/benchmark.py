#!/usr/bin/env python
"""Benchmark training, mining, inference or data loading on this machine, phase by phase.

    python tools/benchmark.py train --config-file configs/langdg_gta5.py --baseline
    python tools/benchmark.py infer --config-file configs/langdg_gta5.py --size 1024x2048

Inputs and weights are random; only `loader` reads the source set of the config. `--baseline` also
measures the plain float32 path, and `--without` leaves out single faster paths. `key=value` after
`--opts` overrides the config of all variants.
"""

import argparse
import json
import multiprocessing
import re
import shlex
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import wraps
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

from langdg_d2.utils.arguments import command_parser

WORKLOAD_NAMES = ("train", "mine", "infer", "loader")
FASTER_PATHS = ("folding", "upsampled_conv", "attention_pool")


def _size(text: str) -> tuple[int, int]:
    if not (match := re.fullmatch(r"(\d+)x(\d+)", text)):
        raise argparse.ArgumentTypeError(f"'{text}' is not HEIGHTxWIDTH, such as 1024x2048")
    return int(match[1]), int(match[2])


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = command_parser(__doc__)
    add = parser.add_argument
    lacks = f"faster paths to leave out, one at a time: {', '.join(FASTER_PATHS)}"
    add("workload", choices=WORKLOAD_NAMES)
    add("--config-file", required=True, metavar="FILE", help="LazyConfig file")
    add("--output", type=Path, metavar="DIR", help="folder [output/benchmark/<workload>]")
    add("--baseline", action="store_true", help="also measure the plain float32 path")
    add("--without", nargs="+", default=[], choices=FASTER_PATHS, metavar="PATH", help=lacks)
    add(
        "--size",
        type=_size,
        default=(1024, 2048),
        metavar="HxW",
        help="image size for infer [1024x2048]",
    )
    add("--warmup", type=int, default=2, metavar="N", help="warm-up steps [2]")
    add("--repeats", type=int, default=5, metavar="N", help="measured steps [5]")
    add("--opts", nargs="+", default=[], metavar="KEY=VALUE", help="config overrides")
    args = parser.parse_args(arguments)
    if args.repeats < 1 or args.warmup < 0:
        parser.error("--repeats must be 1 or more, --warmup 0 or more")
    return args


if __name__ == "__main__":
    parse(None)  # first: the imports below take seconds

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from detectron2.config import instantiate
from detectron2.utils.events import EventStorage
from omegaconf import DictConfig
from open_clip.modified_resnet import AttentionPool2d
from tabulate import tabulate
from torch import Tensor
from torch.utils.benchmark import Timer
from torch.utils.flop_counter import FlopCounterMode

from langdg_d2.data import dataset_mapper
from langdg_d2.engine import SegmentationTrainer, load_config
from langdg_d2.evaluation import build_inference
from langdg_d2.layers import attention_pool, fold, folding, upsampled_conv
from langdg_d2.modeling import Backbone, LangDGSegmentor
from langdg_d2.structures import PatchGrid
from langdg_d2.styles import BankHeader, BankStyles, PatchStyleMixer, StyleBank, choose_patches
from langdg_d2.styles.bank import feature_fingerprint
from langdg_d2.utils.amp import PRECISIONS, memory_format_of
from langdg_d2.utils.errors import LangDGError, report_errors
from langdg_d2.utils.file_io import require_writable, write_text
from langdg_d2.utils.provenance import environment, versions
from langdg_d2.utils.seeding import derived_seed, seed_globally

TOTAL = "total"  # phase name of the whole step
GIGA = 1e9
SIDES = {"cpu": 2048}  # of the matrices that measure the machine's speed
SIDE_ON_ACCELERATORS = 8192
REGION = 64  # pixels; random labels are constant in squares of this side
STYLES = 8  # of every class in a random bank
# Settings of the baseline.
PLAIN_OVERRIDES = (
    "train.memory_format=contiguous_format",
    "train.precision=float32",
    "evaluation.inference.precision=float32",
    "styles.mining.miner.pin.precision=float32",
)
# For each faster path, the attribute to replace and the implementation of torch or CLIP.
FASTER: dict[str, tuple[Any, str, Any]] = {
    "folding": (folding, "_pairs", lambda model: iter(())),
    "upsampled_conv": (upsampled_conv, "uses_fast_path", lambda x: False),
    "attention_pool": (attention_pool.AttentionPool, "forward", AttentionPool2d.forward),
}


@contextmanager
def without(paths: Collection[str] = tuple(FASTER)) -> Iterator[None]:
    """Disable faster paths inside a `with` block, to compute as torch and CLIP do."""
    with ExitStack() as stack:
        for path in paths:
            stack.enter_context(mock.patch.object(*FASTER[path]))
        yield


class PhaseTimer:
    """Times the phases of a step; uses events on accelerators, which do not synchronise."""

    def __init__(self, device_type: str) -> None:
        self._clock = None if device_type == "cpu" else torch.get_device_module(device_type)
        self._marks: list[tuple[str, Any, Any]] = []

    def timed(self, function: Callable, phase: str) -> Callable:
        """Wrap a function so that its calls add to the time of a phase."""

        @wraps(function)
        def call(*args: object, **kwargs: object) -> object:
            begin = self._mark()
            result = function(*args, **kwargs)
            self._marks.append((phase, begin, self._mark()))
            return result

        return call

    def watch(self, owner: object, method: str, phase: str) -> None:
        """Wrap an object's method so that its calls add to the time of a phase."""
        setattr(owner, method, self.timed(getattr(owner, method), phase))

    def run(self, step: Callable[[], object]) -> dict[str, float]:
        """Run a step and return the seconds of its phases and, as `TOTAL`, of the whole step."""
        self._marks = []
        self.timed(step, TOTAL)()
        if self._clock is not None:
            self._clock.synchronize()
        seconds: dict[str, float] = {}
        for phase, begin, end in self._marks:
            took = end - begin if self._clock is None else begin.elapsed_time(end) / 1000
            seconds[phase] = seconds.get(phase, 0.0) + took
        return seconds

    def _mark(self) -> Any:
        if self._clock is None:
            return time.perf_counter()
        event = self._clock.Event(enable_timing=True)
        event.record()
        return event


def measure(
    step: Callable[[], object], timer: PhaseTimer, *, warmup: int, repeats: int
) -> dict[str, list[float]]:
    """Seconds by phase, one value per repeat after the warm-up."""
    steps = [timer.run(step) for _ in range(warmup + repeats)][warmup:]
    phases = dict.fromkeys(phase for seconds in steps for phase in seconds)
    return {phase: [seconds.get(phase, 0.0) for seconds in steps] for phase in phases}


def random_inputs(count: int, size: Sequence[int], num_classes: int) -> tuple[Tensor, Tensor]:
    """Images (count, 3, H, W) uint8, and labels (count, H, W) uint8, constant in squares."""
    coarse = torch.randint(num_classes, (count, 1, *(-(-side // REGION) for side in size)))
    labels = F.interpolate(coarse.float(), scale_factor=REGION)[:, 0, : size[0], : size[1]]
    return torch.randint(256, (count, 3, *size), dtype=torch.uint8), labels.byte()


def training_batch(cfg: DictConfig) -> list[dict[str, Tensor]]:
    """Random crops in the format of the training loader."""
    count, num_classes = cfg.dataloader.train.total_batch_size, cfg.model.sem_seg_head.num_classes
    images, labels = random_inputs(count, cfg.dataloader.crop_size, num_classes)
    classes = instantiate(cfg.styles.grid).majority(labels)
    values = {"image": images, "sem_seg": labels, "patch_classes": classes}
    if cfg.train.device != "cpu":
        values = {name: value.pin_memory() for name, value in values.items()}
    return [{name: value[k] for name, value in values.items()} for k in range(count)]


def random_model(cfg: DictConfig, timer: PhaseTimer) -> LangDGSegmentor:
    """Build the config's model with random weights."""
    cfg.model.backbone.tower.weights = None
    model: LangDGSegmentor = instantiate(cfg.model)
    timer.watch(model.backbone, "forward_low", "trunk")
    timer.watch(model.backbone, "forward_high", "trunk")
    timer.watch(model, "head_logits", "head")
    memory_format = memory_format_of(cfg.train.memory_format)
    return model.to(cfg.train.device).to(memory_format=memory_format)


def random_mixer(cfg: DictConfig, backbone: Backbone) -> PatchStyleMixer:
    """Build the config's mixer with a bank of random styles of every class."""
    grid: PatchGrid = instantiate(cfg.styles.grid)
    classes = {
        "class_names": tuple(cfg.styles.mining.miner.prompts.class_names),
        "ignore_label": cfg.model.classes.ignore_label,
    }
    header = BankHeader(
        clip_name="benchmark",
        clip_fingerprint=feature_fingerprint(backbone),
        layer=backbone.restyled_layer,
        channels=backbone.restyled_channels,
        grid=(grid.rows, grid.cols),
        source="random numbers",
        seed=None,
        **classes,
    )
    class_id = torch.arange(len(header.class_names), dtype=torch.uint8).repeat_interleave(STYLES)
    bank = StyleBank(
        header=header,
        mean=torch.rand(len(class_id), header.channels),
        std=torch.rand(len(class_id), header.channels) + 0.5,
        class_id=class_id,
        prompts=["random"] * len(class_id),
        cosine_before=torch.zeros(len(class_id)),
        cosine_after=torch.zeros(len(class_id)),
    )
    styles = BankStyles(bank=bank, grid=grid, **classes)
    weights = instantiate(cfg.styles.augmentation.mixer.weights)
    mixer = PatchStyleMixer(grid=grid, styles=styles, weights=weights)
    mixer.prepare(backbone)
    return mixer


@dataclass(frozen=True, kw_only=True)
class Workload:
    """Workload to measure.

    Attributes:
        step: function to repeat.
        items: number of units per step.
        unit: "images" or "style-steps".
        precision: precision of matrix products.
    """

    step: Callable[[], object]
    items: float
    unit: str = "images"
    precision: str = "float32"


def train(cfg: DictConfig, timer: PhaseTimer) -> Workload:
    """Training iteration on random crops with styles from a random bank."""
    model = random_model(cfg, timer).train()
    if cfg.styles.augmentation:
        model.feature_augmentation = timer.timed(random_mixer(cfg, model.backbone), "mixing")
    timer.watch(model.criterion, "forward", "loss")
    cfg.optimizer.params.model = model
    batches = cycle([training_batch(cfg) for _ in range(2)])
    trainer = SegmentationTrainer(
        model=model,
        loader=iter(timer.timed(batches.__next__, "data"), None),
        optimizer=instantiate(cfg.optimizer),
        precision=cfg.train.precision,
        accumulate=cfg.train.accumulate,
        log_period=cfg.train.log_period,
    )
    timer.watch(trainer, "backward", "backward")
    timer.watch(trainer, "update", "optimizer")
    trainer.iter, trainer.max_iter = 0, sys.maxsize

    def step() -> None:
        with EventStorage(trainer.iter) as trainer.storage:
            trainer.run_step()
        trainer.iter += 1

    images = cfg.dataloader.train.total_batch_size * cfg.train.accumulate
    return Workload(step=step, items=images, precision=cfg.train.precision)


def mine(cfg: DictConfig, timer: PhaseTimer) -> Workload:
    """Mining of a batch of random crops; a style-step is one step of one style."""
    mining = cfg.styles.mining
    mining.miner.clip.weights = None
    miner = instantiate(mining.miner)
    size, num_classes = cfg.dataloader.crop_size, cfg.model.sem_seg_head.num_classes
    images, labels = random_inputs(mining.batches.batch_size, size, num_classes)
    header = miner.header(source="random numbers", seed=0, settings={})
    styles = len(choose_patches(instantiate(cfg.styles.grid).majority(labels)))

    def step() -> None:
        generator = torch.Generator().manual_seed(0)
        miner.mine(images, labels, header=header, generator=generator)

    items, precision = styles * mining.miner.pin.steps, mining.miner.pin.precision
    return Workload(step=step, items=items, unit="style-steps", precision=precision)


def infer(cfg: DictConfig, timer: PhaseTimer, *, size: tuple[int, int]) -> Workload:
    """Prediction of one image of the given height and width."""
    model = random_model(cfg, timer).eval()
    inference = build_inference(model, **cfg.evaluation.inference)
    fold(model)
    inputs = [{"image": torch.randint(256, (3, *size), dtype=torch.uint8)}]
    precision = cfg.evaluation.inference.precision
    return Workload(step=lambda: inference(inputs), items=1, precision=precision)


def load(cfg: DictConfig, timer: PhaseTimer) -> Workload:
    """Loading of a batch from the config's source set, without worker processes."""
    settings = cfg.dataloader.train
    mapper = settings.mapper = instantiate(settings.mapper)
    mapper.augmentations = timer.timed(mapper.augmentations, "augmentation")
    timer.watch(dataset_mapper, "read_rgb", "image file")
    timer.watch(dataset_mapper, "read_train_ids", "label file")
    settings.num_workers = 0
    batches = iter(instantiate(settings))
    return Workload(step=lambda: next(batches), items=settings.total_batch_size)


WORKLOADS = {"train": train, "mine": mine, "infer": infer, "loader": load}


def matmul_peak(device_type: str, precision: str) -> float:
    """Floating-point operations per second of a large matrix product.

    The product is computed as such and as a 1x1 convolution, which is twice as fast on some CPUs;
    the faster one counts. A multiply-add counts as two operations.
    """
    side = SIDES.get(device_type, SIDE_ON_ACCELERATORS)
    a, b = torch.ones(2, side, side, dtype=PRECISIONS[precision], device=device_type)
    pixels, kernels = b.view(1, 1, side, side).movedim(-1, 1), a.view(side, side, 1, 1)
    seconds = []
    for statement in ("a @ b", "torch.nn.functional.conv2d(pixels, kernels)"):
        values = {"a": a, "b": b, "pixels": pixels, "kernels": kernels}
        timer = Timer(statement, globals=values, num_threads=torch.get_num_threads())
        seconds += timer.blocked_autorange(min_run_time=1.0).times
    return 2 * side**3 / min(seconds)


def peak_memory(device_type: str) -> int:
    """Peak memory in bytes: resident memory on the CPU, memory of tensors on accelerators."""
    if device_type != "cpu":
        return torch.get_device_module(device_type).max_memory_allocated()
    import resource  # not on Windows

    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return resident if sys.platform == "darwin" else 1024 * resident


@dataclass(frozen=True, kw_only=True)
class Variant:
    """Variant of a workload.

    Attributes:
        name: title in tables.
        overrides: `key=value` overrides of the config.
        plain: whether this is the baseline, with float32, torch's layout and no faster path.
        without: faster paths to leave out, keys of `FASTER`.
    """

    name: str
    overrides: tuple[str, ...] = ()
    plain: bool = False
    without: tuple[str, ...] = ()


def run_variant(args: argparse.Namespace, variant: Variant) -> dict[str, Any]:
    """Measure a variant in its own process, so that variants do not affect each other."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "result.json"
        context = multiprocessing.get_context("spawn")
        process = context.Process(target=measure_variant, args=(args, variant, file))
        process.start()
        process.join()
        if process.exitcode:
            raise LangDGError(f"variant '{variant.name}' failed; see the error above")
        return json.loads(file.read_text())


@report_errors()
def measure_variant(args: argparse.Namespace, variant: Variant, file: Path) -> None:
    """Measure a variant in this process, and write its `result` to a file."""
    plain = PLAIN_OVERRIDES if variant.plain else ()
    cfg = load_config(args.config_file, [*variant.overrides, *plain])
    device_type = torch.device(cfg.train.device).type
    torch.backends.cudnn.benchmark = cfg.train.cudnn_benchmark
    cv2.setNumThreads(1)  # as in `engine.setup`
    seed_globally(derived_seed(purpose="benchmark"))
    timer = PhaseTimer(device_type)
    with without(FASTER if variant.plain else variant.without):
        size = {"size": args.size} if args.workload == "infer" else {}
        workload = WORKLOADS[args.workload](cfg, timer, **size)
        workload.step()  # one-time work, such as encoding texts, does not count
        with FlopCounterMode(display=False) as counter:
            workload.step()
        seconds = measure(workload.step, timer, warmup=args.warmup, repeats=args.repeats)
    memory = peak_memory(device_type)  # before the large matrices
    measured = result(
        variant,
        seconds,
        items=workload.items,
        unit=workload.unit,
        operations=counter.get_total_flops(),
        peak=matmul_peak(device_type, workload.precision),
        memory=memory,
        machine=environment() | versions(),
    )
    file.write_text(json.dumps(measured))


def result(
    variant: Variant, seconds: dict[str, list[float]], *, items: float, operations: int, **rest: Any
) -> dict[str, Any]:
    """Combine measurements and derived figures, in JSON types.

    Args:
        variant: measured variant.
        seconds: result of `measure`.
        items: number of units per step.
        operations: floating-point operations of matrix products and convolutions per step; 0 if
            nothing is computed.
        rest: `unit`, `peak` (of `matmul_peak` in the same precision), `memory` (of `peak_memory`)
            and `machine`.
    """
    median = float(np.median(seconds[TOTAL]))
    low, high = np.percentile(seconds[TOTAL], [25, 75])
    return {
        "variant": asdict(variant),
        "seconds": seconds,
        "median": median,
        "spread": float(high - low),
        "items": items,
        "rate": items / median,
        "operations": operations,
        "share_of_peak": operations / median / rest["peak"],
        **rest,
    }


def table(results: Sequence[dict[str, Any]], command: str) -> str:
    """Markdown table with one row per variant, phases in seconds, and an explanation."""
    first, unit = results[0], results[0]["unit"]
    phases = list(dict.fromkeys(p for r in results for p in r["seconds"] if p != TOTAL))
    rows = [
        {
            "variant": r["variant"]["name"],
            "seconds": r["median"],
            "spread": r["spread"],
            **{p: np.median(r["seconds"][p]) if p in r["seconds"] else None for p in phases},
            f"{unit} / s": r["rate"],
            "times": r["rate"] / first["rate"],
            "GFLOP / s": r["operations"] / r["median"] / GIGA,
            "of peak": f"{r['share_of_peak']:.0%}",
            "memory, GB": r["memory"] / GIGA,
        }
        for r in results
    ]
    machine = ", ".join(f"{name} {value}" for name, value in first["machine"].items())
    return (
        f"{tabulate(rows, 'keys', tablefmt='pipe', floatfmt='.3g', missingval='-')}\n\n"
        f"Medians of {len(first['seconds'][TOTAL])} steps; spread: interquartile range; 'times': "
        "the rate relative to the first row; 'of peak': the share of the throughput that a large "
        "matrix product, as such or as a convolution, reaches in the same precision "
        f"({first['peak'] / GIGA:,.0f} GFLOP/s in the first row).\n\n"
        f"- command: `{command}`\n- machine: {machine}\n"
    )


def write(results: Sequence[dict[str, Any]], folder: Path, *, command: str) -> str:
    """Write `benchmark.md` and `benchmark.json`; return the text."""
    text = table(results, command)
    write_text(folder / "benchmark.md", text)
    record = json.dumps({"command": command, "results": results}, indent=1)
    write_text(folder / "benchmark.json", f"{record}\n")
    return text


def variants(args: argparse.Namespace) -> list[Variant]:
    """Variants of the command line, the plain one first."""
    overrides = tuple(args.opts)
    plain = [Variant(name="plain float32", overrides=overrides, plain=True)] * args.baseline
    fast = Variant(name="this project", overrides=overrides)
    others = [
        Variant(name=f"without {path}", overrides=overrides, without=(path,))
        for path in args.without
    ]
    return [*plain, fast, *others]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    arguments = sys.argv[1:] if arguments is None else arguments
    args = parse(arguments)
    with report_errors():
        folder = args.output or Path("output/benchmark") / args.workload
        require_writable(folder)  # fail before measuring
        asked = variants(args)
        for variant in asked:
            load_config(args.config_file, variant.overrides)
        results = [run_variant(args, variant) for variant in asked]
        command = shlex.join(["python", "tools/benchmark.py", *arguments])
        print(write(results, folder, command=command), end="")


if __name__ == "__main__":
    main()

"""Timing variants of a workload, each in processes of its own, so that none disturbs another."""

import json
import multiprocessing
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import torch
from detectron2.utils import comm
from torch.utils.flop_counter import FlopCounterMode

from ..engine import launch, load_config
from ..utils.errors import LangDGError
from ..utils.seeding import derived_seed, seed_globally
from .machine import describe_machine, matmul_peak, peak_memory
from .paths import PATHS, without
from .timing import PhaseTimer, Timings, measure
from .workloads import WORKLOADS

# As if nobody had thought of speed.
_PLAIN = (
    "train.memory_format=contiguous_format",
    "train.precision=float32",
    "evaluation.inference.precision=float32",
    "styles.mining.miner.pin.precision=float32",
)
# Whose value the products of a workload are computed in.
_PRECISION = {
    "train": "train.precision",
    "infer": "evaluation.inference.precision",
    "mine": "styles.mining.miner.pin.precision",
}


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A way to run a workload.

    Attributes:
        name: in tables.
        overrides: `key=value` changes of the config.
        plain: float32, no layout, no faster path: the baseline.
        without: faster paths that are not taken, of `PATHS`.
        processes: that share the work; on the CPU they also share its cores.
        key: of the curve that it belongs to, of the config or "processes"; "" if to none.
        value: where it stands in the curve.
    """

    name: str
    overrides: tuple[str, ...] = ()
    plain: bool = False
    without: tuple[str, ...] = ()
    processes: int = 1
    key: str = ""
    value: str = ""


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is measured, and how.

    Attributes:
        workload: of `WORKLOADS`.
        config_file: LazyConfig file.
        warmup, repeats: steps that are not counted beyond the first two, and that are.
        arguments: of the workload.
    """

    workload: str
    config_file: str
    warmup: int
    repeats: int
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Result:
    """What was measured.

    Attributes:
        variant: of what.
        timings: of the main process.
        items: in units, of a step of all processes.
        unit: "images" or "style-steps".
        operations: floating-point operations of a step of a process, products of matrices and
            convolutions only; 0 where nothing is computed.
        peak: operations a second of a large product of matrices, in the same precision.
        memory: most bytes held, of a process.
        machine: what it ran on.
    """

    variant: Variant
    timings: Timings
    items: float
    unit: str
    operations: float
    peak: float
    memory: int
    machine: dict[str, Any]

    @property
    def rate(self) -> float:
        """Units a second."""
        return self.items / self.timings.median()

    @property
    def share_of_peak(self) -> float:
        """Of the machine's operations a second, in 0..1."""
        return self.operations / self.timings.median() / self.peak

    def as_json(self) -> dict[str, Any]:
        """JSON types, with the figures of tables."""
        return {**asdict(self), "rate": self.rate, "share_of_peak": self.share_of_peak}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Result":
        """What `as_json` gave."""
        known = {name: values[name] for name in cls.__dataclass_fields__}
        lists = {key: tuple(values["variant"][key]) for key in ("overrides", "without")}
        known["variant"] = Variant(**{**values["variant"], **lists})
        known["timings"] = Timings(**values["timings"])
        return cls(**known)


def run_variant(task: Task, variant: Variant) -> Result:
    """Measure a variant in processes of its own.

    Raises:
        LangDGError: if they fail; their own messages have been printed.
    """
    with TemporaryDirectory() as folder:
        file = Path(folder) / "result.json"
        context = multiprocessing.get_context("spawn")
        process = context.Process(target=_launch, args=(task, variant, str(file)))
        process.start()
        process.join()
        if process.exitcode:
            raise LangDGError(f"variant '{variant.name}' failed, see above")
        return Result.from_json(json.loads(file.read_text()))


def run_variants(task: Task, variants: Sequence[Variant]) -> list[Result]:
    """Measure one after the other, if the config takes the overrides of all."""
    for variant in variants:
        load_config(task.config_file, variant.overrides)
    return [run_variant(task, variant) for variant in variants]


def _launch(task: Task, variant: Variant, file: str) -> None:
    places = {"num_machines": 1, "machine_rank": 0, "dist_url": "auto"}
    args = Namespace(num_gpus=variant.processes, **places)
    launch(partial(_measure, task, variant, file), args)


def _measure(task: Task, variant: Variant, file: str, _: Namespace) -> None:
    overrides = [*variant.overrides, *(_PLAIN if variant.plain else ())]
    cfg = load_config(task.config_file, overrides)
    device_type = torch.device(cfg.train.device).type
    torch.backends.cudnn.benchmark = cfg.train.cudnn_benchmark
    cv2.setNumThreads(1)  # as a tool's process, see `engine.setup`
    if device_type == "cpu" and variant.processes > 1:
        torch.set_num_threads(max(1, torch.get_num_threads() // variant.processes))
    seed_globally(derived_seed(comm.get_rank(), purpose="benchmark"))
    timer = PhaseTimer(device_type)
    with without(PATHS if variant.plain else variant.without):
        workload = WORKLOADS[task.workload](cfg, timer, **task.arguments)
        workload.step()  # what is done once, such as encoding texts, does not count
        with FlopCounterMode(display=False) as counter:
            workload.step()
        timings = measure(workload.step, timer, warmup=task.warmup, repeats=task.repeats)
    memory = peak_memory(device_type)
    if comm.is_main_process():
        key = _PRECISION.get(task.workload)
        result = Result(
            variant=variant,
            timings=timings,
            items=workload.items * variant.processes,
            unit=workload.unit,
            operations=counter.get_total_flops(),
            peak=matmul_peak(device_type, _value(cfg, key) if key else "float32"),
            memory=memory,
            machine=describe_machine(device_type),
        )
        Path(file).write_text(json.dumps(result.as_json()))


def _value(cfg: Any, key: str) -> str:
    for name in key.split("."):
        cfg = cfg[name]
    return str(cfg)

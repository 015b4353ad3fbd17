"""Runs in an experiment's folder: their files, the command each needs next, and running them.

<output>/banks/seed<k>_<digest>.safetensors   mined styles, shared by the runs that mine alike
<output>/<variant>/seed<k>/                   files of `tools/train_net.py`
  settings.json                               what decides the outcome; others are refused
  variant.yaml                                the config that the tools read
  targets/ or validation/                     scores and predictions
"""

import fcntl
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch
from detectron2.config import LazyConfig
from omegaconf import DictConfig, OmegaConf

from langdg_d2.engine import load_config
from langdg_d2.utils.errors import LangDGError
from langdg_d2.utils.file_io import write_text
from langdg_d2.utils.provenance import leaves, plain_data
from streets.collection import Settings
from streets.domains import DOMAINS, Domain, Role
from streets.experiment.variants import VARIANTS, Variant

PROJECT = Path(__file__).resolve().parents[2]
CONFIG = PROJECT / "configs/experiment.py"
# Where CLIP lies and what is scored, of what else would decide the outcome of a run.
_FREE = ("model.backbone.tower.", "dataloader.test.", "dataloader.evaluators.")
_FREE += ("evaluation.domains", "scenes.looks")
_POLL = 0.5  # seconds
_LAST_LINES = 15  # of the output of a command that failed


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """The setting that all variants share.

    Attributes:
        output: folder of everything that is made.
        data: folder of the scenes.
        scenes: what is drawn; its looks are the unseen domains that are scored.
        split: "targets" or "validation", folder for what depends on these looks.
        overrides: `key=value` changes of the config, before those of a variant.
    """

    output: Path
    data: Path
    scenes: Settings
    split: str = "targets"
    overrides: tuple[str, ...] = ()

    @property
    def scores(self) -> Path:
        """Folder of the tables and pictures."""
        return self.output / self.split

    @property
    def domains(self) -> list[Domain]:
        """Those that are scored, the source first."""
        return [d for d in DOMAINS if d.role is Role.SOURCE or d.look in self.scenes.looks]

    @property
    def collections(self) -> dict[Path, Settings]:
        """The scenes for all variants, and those for variants that see the targets, by folder."""
        each = -(-self.scenes.train // len(self.scenes.looks))
        other = replace(self.scenes, seed=self.scenes.seed + 1, train=0, val=1, targets=each)
        name = f"{self.data.name}_oracle_{self.split}"
        return {self.data: self.scenes, self.data.with_name(name): other}

    @cached_property
    def base(self) -> DictConfig:
        """The config that variants change; for reading only."""
        return load_config(str(CONFIG), self.overrides)

    @cached_property
    def clip(self) -> list[str]:
        """Hashes of CLIP's architecture, and of its weights if they are not random."""
        tower = self.base.model.backbone.tower
        files = filter(None, (tower.name, tower.weights))
        return [_digest(Path(file).read_bytes()) for file in files]

    def dataset(self, domain: Domain) -> str:
        """Name in Detectron2's catalog of a domain's scenes to score."""
        return str(self.base.dataloader.test[domain.name].dataset.names)

    def scored_runs(self) -> list["Run"]:
        """The runs that are there with these settings and scored, also those of other commands."""
        names = {path.name for path in self.output.glob("*/seed*")}
        seeds = sorted(int(name[4:]) for name in names if name[4:].isdigit())
        every = (Run(self, variant, seed) for variant in VARIANTS.values() for seed in seeds)
        return [run for run in every if run.is_scored and not run.difference]


class Step(NamedTuple):
    """A command of `tools/`, with the root of its data sets and the folder of its output."""

    tool: str
    options: list[str]
    datasets: Path
    folder: Path

    @property
    def log(self) -> Path:
        """File of what it prints."""
        return self.folder.with_name(f"{self.folder.name}.out")


@dataclass(frozen=True)
class Run:
    """A variant with a seed of weights, order of images, augmentation and styles."""

    experiment: Experiment
    variant: Variant
    seed: int

    @property
    def folder(self) -> Path:
        """Where training leaves its files."""
        # An oracle of other domains is another training.
        end = f"_{self.experiment.split}" if self.variant.sees_targets else ""
        return self.experiment.output / f"{self.variant.name}{end}" / f"seed{self.seed}"

    @property
    def scores(self) -> Path:
        """Folder of the scores, and of the predictions."""
        return self.folder / self.experiment.split

    @property
    def is_scored(self) -> bool:
        """Whether nothing is left to do."""
        return (self.scores / "benchmark.json").is_file()

    @cached_property
    def cfg(self) -> DictConfig:
        """The config, without the places of its files."""
        cfg = deepcopy(self.experiment.base)
        for change in self.variant.changes:
            change(cfg)
        cfg.train.seed = cfg.styles.seed = self.seed
        if self.variant.sees_targets:
            unseen = self.experiment.domains[1:]
            cfg.dataloader.train.dataset.names = list(map(self.experiment.dataset, unseen))
        return cfg

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What decides the outcome, wherever its files lie: plain data by dotted keys."""
        config = plain_data(OmegaConf.to_container(self.cfg, resolve=False))
        scenes, clip = plain_data(asdict(self.experiment.scenes)), self.experiment.clip
        free = _FREE if self.bank else (*_FREE, "styles.mining.")
        every = leaves({**config, "scenes": scenes, "clip": clip})
        return {key: value for key, value in every if not key.startswith(free)}

    @cached_property
    def difference(self) -> str:
        """How what is there was made with other settings; empty if it was not, or nothing is."""
        file, wanted = self.folder / "settings.json", self.settings
        if not file.is_file():
            return f"no {file.name} says which" if any(self.folder.glob("*.pth")) else ""
        there = json.loads(file.read_text())
        keys = (key for key in there | wanted if there.get(key) != wanted.get(key))
        return next((f"{k}: {there.get(k)} there, {wanted.get(k)} wanted" for k in keys), "")

    @cached_property
    def bank(self) -> Path | None:
        """File of the mined styles that training needs; runs with the same mining share it."""
        if self.cfg.styles.bank is None:
            return None
        scenes = replace(self.experiment.scenes, looks=())
        facts = [plain_data(self.cfg)["styles"]["mining"], scenes, self.experiment.clip]
        digest = _digest(str(facts).replace(str(PROJECT), "").encode())
        return self.experiment.output / f"banks/seed{self.seed}_{digest}.safetensors"

    @property
    def seconds(self) -> float | None:
        """Seconds of training: its iterations at their median time; None if it left no metrics.

        So what came between them, an interruption or other work, does not count.
        """
        file = self.folder / "metrics.json"
        lines = file.read_text().splitlines() if file.is_file() else []
        # The last line of a killed training may be cut; evaluations have no time.
        logged = [json.loads(line) for line in lines if line.endswith("}") and '"time"' in line]
        done = max((line["iteration"] + 1 for line in logged), default=0)
        return done * median(line["time"] for line in logged) if logged else None

    def next_step(self) -> Step | None:
        """The command that is needed next, by the files that are there; None after scoring."""
        if self.is_scored:
            return None
        (data, other), bank = self.experiment.collections, self.bank
        final = self.folder / "model_final.pth"
        if final.is_file():
            domains = ",".join(domain.name for domain in self.experiment.domains)
            options = ["--eval-only", f"train.init_checkpoint={final}"]
            options.append(f"evaluation.domains=[{domains}]")
            return Step("train_net", options, data, self.scores)
        if bank and not bank.is_file():
            return Step("mine_styles", [f"styles.bank={bank}"], data, bank.with_suffix(""))
        # Scores come with the next command; there have to be some here as well.
        domains = f"evaluation.domains=[{self.experiment.domains[0].name}]"
        options = ["--resume", domains, "evaluation.predictions=null"]
        options += [f"styles.bank={bank}", "styles.mine_if_missing=false"] if bank else []
        data = other if self.variant.sees_targets else data
        return Step("train_net", options, data, self.folder)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:12]


@contextmanager
def locked(folder: Path) -> Iterator[int]:
    """Hold a folder; gives a file descriptor, and the last process that has it lets go of it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LangDGError(
                f"another experiment, or a command that it has left, is at work in {folder}; wait "
                "for it to end, or choose another --output"
            ) from error
        yield file.fileno()


def execute(
    runs: Sequence[Run], *, workers: int, lock: int, after_each: Callable[[], object]
) -> None:
    """Mine, train and score, as far as that is not done; what fails does not end the others.

    So many commands at a time share the cores; they keep the lock of `locked`. `after_each` is
    called when a run has been scored, or given up.
    """
    waiting, begun = [run for run in runs if not run.is_scored], set()
    busy: dict[Path, tuple[Run, Step, subprocess.Popen[bytes]]] = {}
    try:
        while waiting:
            for run in list(waiting):
                if any(run is owner for owner, _, _ in busy.values()):
                    continue  # scores are there before the command has ended
                step = run.next_step()
                if step and step.folder in busy:  # for another run with the same bank
                    continue
                if step is None or step.folder in begun:  # scored, or a command has failed
                    waiting.remove(run)
                    after_each()
                elif len(busy) < workers:
                    begun.add(step.folder)
                    busy[step.folder] = run, step, _start(run, step, lock, workers)
            time.sleep(_POLL)
            for _, step, process in list(busy.values()):
                if process.poll() is not None:
                    del busy[step.folder]
                    _say(step, process.returncode)
    finally:
        _stop([process for _, _, process in busy.values()])


def _stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        process.wait()


def _start(run: Run, step: Step, lock: int, workers: int) -> subprocess.Popen[bytes]:
    config = run.folder / "variant.yaml"
    write_text(run.folder / "settings.json", json.dumps(run.settings, indent=1) + "\n")
    LazyConfig.save(run.cfg, str(config))
    command = [sys.executable, str(PROJECT.parents[1] / f"tools/{step.tool}.py")]
    command += ["--config-file", str(config), "--num-gpus", str(int(torch.cuda.is_available()))]
    command += [*step.options, f"train.output_dir={step.folder}"]
    threads = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // workers))}
    environment = threads | os.environ | {"DETECTRON2_DATASETS": str(step.datasets)}
    step.log.parent.mkdir(parents=True, exist_ok=True)
    with step.log.open("ab") as log:
        streams = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": subprocess.STDOUT}
        return subprocess.Popen(command, env=environment, pass_fds=[lock], **streams)


def _say(step: Step, returncode: int) -> None:
    print(f"{step.tool} {'failed' if returncode else 'is done'}, see {step.log}", flush=True)
    if returncode:
        print(*step.log.read_text(errors="replace").splitlines()[-_LAST_LINES:], sep="\n")

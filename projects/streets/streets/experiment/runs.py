"""Runs of an experiment, which mine, train and score with the commands in `tools/`.

<output>/datasets/, datasets_oracle/          scenes, and others for variants trained on targets
<output>/banks/seed<k>_<digest>.safetensors   mined styles, shared by runs with the same mining
<output>/<variant>/seed<k>/                   files of `tools/train_net.py`
  settings.json                               settings, to detect changes
  variant.yaml                                the config that the tools read
  scores/                                     scores and predictions
"""

import asyncio
import fcntl
import hashlib
import json
import os
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from subprocess import DEVNULL, CalledProcessError
from typing import Any

import torch
from detectron2.config import LazyConfig
from omegaconf import DictConfig

from langdg_d2.engine import load_config
from langdg_d2.evaluation import config_difference
from langdg_d2.utils.errors import LangDGError
from langdg_d2.utils.file_io import content_digest, write_text
from langdg_d2.utils.provenance import plain_data
from streets.collection import Settings
from streets.domains import DOMAINS, Domain, Role
from streets.experiment.variants import Variant

PROJECT = Path(__file__).resolve().parents[2]
CONFIG = PROJECT / "configs/experiment.py"
_SETTINGS, _CONFIG = "settings.json", "variant.yaml"  # in the folder of a run
_LAST_LINES = 15  # of a failed command's output


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """The shared settings of all variants.

    Attributes:
        output: output folder.
        scenes: settings of the scenes, whose looks are the unseen domains to score.
        overrides: config overrides, applied before the changes of a variant.
        config_file: base config.
    """

    output: Path
    scenes: Settings
    overrides: tuple[str, ...] = ()
    config_file: Path = CONFIG

    @property
    def domains(self) -> list[Domain]:
        """The scored domains, with the source first."""
        return [d for d in DOMAINS if d.role is Role.SOURCE or d.look in self.scenes.looks]

    @property
    def collections(self) -> dict[Path, Settings]:
        """Settings by folder of the scenes for all variants, and for those trained on targets."""
        each = -(-self.scenes.train // len(self.scenes.looks))
        other = replace(self.scenes, seed=self.scenes.seed + 1, train=0, val=1, targets=each)
        return {self.output / "datasets": self.scenes, self.output / "datasets_oracle": other}

    @cached_property
    def base(self) -> DictConfig:
        """The base config of the variants. Do not modify it."""
        return load_config(str(self.config_file), self.overrides)


@dataclass(frozen=True)
class Run:
    """A variant with a seed for weights, order of images, augmentation and styles."""

    experiment: Experiment
    variant: Variant
    seed: int

    @property
    def folder(self) -> Path:
        """Output folder of the training."""
        return self.experiment.output / self.variant.name / f"seed{self.seed}"

    @property
    def scores(self) -> Path:
        """Folder of scores and predictions."""
        return self.folder / "scores"

    @property
    def is_scored(self) -> bool:
        """Whether the run is finished."""
        return (self.scores / "benchmark.json").is_file()

    @cached_property
    def cfg(self) -> DictConfig:
        """The config, without the path of the style bank."""
        cfg = deepcopy(self.experiment.base)
        for change in self.variant.changes:
            change(cfg)
        cfg.train.seed = cfg.styles.seed = self.seed
        cfg.evaluation.domains = [domain.name for domain in self.experiment.domains]
        if self.variant.sees_targets:
            tests = [cfg.dataloader.test[name] for name in cfg.evaluation.domains[1:]]
            cfg.dataloader.train.dataset.names = [test.dataset.names for test in tests]
        return cfg

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The config, the scenes and the digest of CLIP's weights, as plain data."""
        weights = self.cfg.model.backbone.tower.weights
        clip = content_digest(Path(weights)) if weights else None
        scenes = plain_data(asdict(self.experiment.scenes))
        return plain_data(self.cfg) | {"scenes": scenes, "clip": clip}

    @cached_property
    def difference(self) -> str:
        """Difference to the settings of an earlier run in the folder; "" if there is none."""
        file, wanted = self.folder / _SETTINGS, self.settings
        if not file.is_file():
            return f"no {_SETTINGS} says which" if any(self.folder.glob("*.pth")) else ""
        found = config_difference(json.loads(file.read_text()), wanted)
        return "{}: found {}, expected {}".format(*found) if found else ""

    @cached_property
    def bank(self) -> Path | None:
        """File of the mined styles for training, shared by runs with the same mining."""
        if self.cfg.styles.bank is None:
            return None
        settings = self.settings
        facts = json.dumps([settings["styles"]["mining"], settings["scenes"], settings["clip"]])
        digest = hashlib.sha256(facts.encode()).hexdigest()[:12]
        return self.experiment.output / f"banks/seed{self.seed}_{digest}.safetensors"


@contextmanager
def locked(folder: Path) -> Iterator[int]:
    """Lock a folder and yield a file descriptor, which holds the lock in all its processes."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LangDGError(
                f"another experiment, or one of its commands, is running in {folder}; wait until "
                "it ends, or choose another --output"
            ) from error
        yield file.fileno()


async def execute(
    runs: Sequence[Run], *, workers: int, lock: int, after_each: Callable[[], object]
) -> None:
    """Mine, train and score, skipping steps with results; a failure only ends its own run.

    Args:
        runs: runs in the order of their start.
        workers: number of parallel runs, which share the cores.
        lock: file descriptor from `locked`, inherited by the commands.
        after_each: called after each run.
    """
    slots, mining = asyncio.Semaphore(workers), defaultdict(asyncio.Lock)
    environment = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // workers)), **os.environ}
    gpus = int(torch.cuda.is_available())

    async def call(tool: str, run: Run, datasets: Path, folder: Path, *options: str) -> None:
        command = [sys.executable, str(PROJECT.parents[1] / f"tools/{tool}.py")]
        command += [f"--config-file={run.folder / _CONFIG}", f"--num-gpus={gpus}", *options]
        log = folder.with_name(f"{folder.name}.out")
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *(*command, f"train.output_dir={folder}"),
                env={**environment, "DETECTRON2_DATASETS": str(datasets)},
                stdin=DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[lock],
            )
        try:
            failed = await process.wait()
        finally:
            if process.returncode is None:  # the experiment was interrupted
                process.terminate()
                await process.wait()
        print(f"{tool} {'failed' if failed else 'is done'}, see {log}", flush=True)
        if failed:
            print(*log.read_text(errors="replace").splitlines()[-_LAST_LINES:], sep="\n")
            raise CalledProcessError(failed, command)

    async def finish(run: Run) -> None:
        final, bank = run.folder / "model_final.pth", run.bank
        place = [f"styles.bank={bank}"] if bank else []
        data, other = run.experiment.collections
        write_text(run.folder / _SETTINGS, json.dumps(run.settings, indent=1) + "\n")
        LazyConfig.save(run.cfg, str(run.folder / _CONFIG))
        async with mining[bank]:  # mined only once
            if bank and not bank.is_file() and not final.is_file():
                await call("mine_styles", run, data, bank.with_suffix(""), *place)
        if not final.is_file():
            # Training ends with scores of the source only; these are for all domains.
            few = ["evaluation.domains=[gta5]", "evaluation.predictions=null"]
            seen = other if run.variant.sees_targets else data
            await call("train_net", run, seen, run.folder, "--resume", *few, *place)
        weights = f"train.init_checkpoint={final}"
        await call("train_net", run, data, run.scores, "--eval-only", weights)

    async def attempt(run: Run) -> None:
        async with slots:
            with suppress(CalledProcessError):  # already printed
                await finish(run)
        after_each()

    await asyncio.gather(*(attempt(run) for run in runs if not run.is_scored))

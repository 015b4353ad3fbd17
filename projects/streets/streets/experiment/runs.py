"""One run: a cell with a seed, in a folder of its own, trained and scored step by step.

<output>/<cell>/seed<k>/
  settings.json                what decides the outcome; another setting is refused
  train.out  model_final.pth   and whatever else `tools/train_net.py` writes
  targets/benchmark.json       scores on the unseen looks, with predictions/
  validation/benchmark.json    likewise, on the looks that settings are chosen on
"""

import json
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any

import torch

from langdg_d2.evaluation.benchmark import RECORD
from langdg_d2.evaluation.config_difference import config_difference
from langdg_d2.utils.errors import LangDGError
from langdg_d2.utils.file_io import write_atomically
from streets.experiment.averaging import AVERAGED, average_checkpoints, periodic_checkpoints
from streets.experiment.cells import Cell
from streets.experiment.jobs import Job, Progress
from streets.experiment.setting import CONFIG, REPOSITORY, Experiment, digest, oracle_data

_SETTINGS = "settings.json"
_MARKER = "last_checkpoint"
_FINAL = "model_final.pth"

# Seconds on a core of a 2.4 GHz server, for the remaining time that the bar shows.
_ITERATION = {True: 0.35, False: 0.45}  # by whether CLIP is frozen
_SCORED_IMAGE = 0.35
_START = 8.0


class OtherSettings(LangDGError):
    """A run was made with other settings than are wanted now."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A cell with a seed.

    Attributes:
        experiment: what it belongs to.
        cell: what is trained.
        seed: of weights, order of images, augmentation and styles.
    """

    experiment: Experiment
    cell: Cell
    seed: int

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.cell.name}, seed {self.seed}"

    @property
    def folder(self) -> Path:
        """Where training leaves its files."""
        # An oracle of other looks is another training.
        end = f"_{self.experiment.split}" if self.cell.sees_targets else ""
        return self.experiment.output / f"{self.cell.name}{end}" / f"seed{self.seed}"

    @property
    def scores(self) -> Path:
        """Folder of the scores, and of the predictions."""
        return self.folder / self.experiment.split

    @property
    def is_trained(self) -> bool:
        """Whether the last checkpoint has been written, whole."""
        marker = self.folder / _MARKER
        return marker.is_file() and marker.read_text().strip() == _FINAL

    @property
    def is_scored(self) -> bool:
        """Whether nothing is left to do."""
        return (self.scores / RECORD).is_file()

    @property
    def weight(self) -> float:
        """About how many seconds are left to do, on one core."""
        if self.is_scored:
            return 0.0
        return self._scoring_weight + (0.0 if self.is_trained else self._training_weight)

    @property
    def seconds(self) -> float | None:
        """Seconds of training: its iterations at their median time; None if it left no metrics.

        So what came between them, an interruption or other work, does not count.
        """
        lines = [line for line in self._metrics() if "time" in line]
        if not lines:
            return None
        done = 1 + max(line["iteration"] for line in lines)
        return done * median(line["time"] for line in lines)

    @cached_property
    def facts(self) -> dict[str, Any]:
        """All that decides the outcome."""
        return self.experiment.facts(self.cell, self.seed)

    @property
    def bank(self) -> Path | None:
        """File of the mined styles that training needs; runs with the same mining share it."""
        styles = self.facts["config"]["styles"]
        if styles["bank"] is None:
            return None
        what = [styles["mining"] | {"path": None}, self.facts["scenes"], self.facts["clip"]]
        name = digest(json.dumps(what, sort_keys=True).encode())
        return self.experiment.output / "banks" / f"seed{self.seed}_{name}.safetensors"

    def check(self) -> None:
        """See that what is there was made with these settings.

        Raises:
            OtherSettings: if not; names the first difference.
            FileNotFoundError: if CLIP's files are missing.
        """
        facts, file = self.facts, self.folder / _SETTINGS
        if not file.is_file():
            if (self.folder / _MARKER).exists() or self.is_scored:
                raise OtherSettings(
                    f"{self.folder} holds results but no {_SETTINGS} that says how they were "
                    "made; choose another --output, or delete the folder"
                )
            return
        if difference := config_difference(json.loads(file.read_text()), facts):
            key, there, wanted = difference
            raise OtherSettings(
                f"{self.folder} was made with other settings ({key.removeprefix('config.')}: "
                f"{there} there, {wanted} wanted); choose another --output, or delete the folder"
            )

    @cached_property
    def agrees(self) -> bool:
        """Whether what is there was made with these settings."""
        try:
            self.check()
        except OtherSettings:
            return False
        return True

    def execute(self, progress: Progress) -> None:
        """Train and score, as far as that is not done.

        Raises:
            JobFailed: if a command fails.
        """
        if self.is_scored:
            return
        write_atomically(
            self.folder / _SETTINGS, (json.dumps(self.facts, indent=1) + "\n").encode()
        )
        if not self.is_trained:
            progress.run(self._training())
        checkpoint = self._checkpoint()
        progress.run(self._scoring(checkpoint))
        progress.say(f"{self.name}: scored in {self.scores}")

    def _training(self) -> Job:
        data = oracle_data(self.experiment) if self.cell.sees_targets else self.experiment.data
        source = self.experiment.source.name
        places = [
            f"train.output_dir={self.folder}",
            # Scores come with the next command; there have to be some here as well.
            f"evaluation.domains=[{source}]",
            "evaluation.predictions=null",
            *([f"styles.bank={self.bank}", "styles.mine_if_missing=false"] if self.bank else []),
        ]
        return Job(
            title=f"training of {self.name}",
            command=[*self._command(), "--resume", *self._overrides(), *places],
            log=self.folder / "train.out",
            environment={"DETECTRON2_DATASETS": str(data)},
            weight=self._training_weight,
            share=self._trained_share,
        )

    def _scoring(self, checkpoint: Path) -> Job:
        domains = [self.experiment.source, *self.experiment.unseen]
        places = [
            f"train.output_dir={self.scores}",
            f"train.init_checkpoint={checkpoint}",
            f"evaluation.domains=[{','.join(domain.name for domain in domains)}]",
        ]
        return Job(
            title=f"scoring of {self.name}",
            command=[*self._command(), "--eval-only", *self._overrides(), *places],
            log=self.folder / f"{self.experiment.split}.out",
            environment={"DETECTRON2_DATASETS": str(self.experiment.data)},
            weight=self._scoring_weight,
        )

    def _checkpoint(self) -> Path:
        """What is scored: the last checkpoint, or the mean of the last few."""
        wanted = self.facts["config"]["averaging"]["checkpoints"]
        averaged = self.folder / AVERAGED
        files = periodic_checkpoints(self.folder)
        if wanted > 1 and not averaged.is_file():
            average_checkpoints(files[-wanted:], averaged)
        for file in files:
            file.unlink()
        return averaged if wanted > 1 else self.folder / _FINAL

    @property
    def gpus(self) -> str:
        """How many GPUs commands use."""
        return "1" if torch.cuda.is_available() else "0"

    def _command(self) -> list[str]:
        tool = REPOSITORY / "tools/train_net.py"
        return [sys.executable, str(tool), "--config-file", str(CONFIG), "--num-gpus", self.gpus]

    def _overrides(self) -> list[str]:
        return self.experiment.cell_overrides(self.cell, self.seed)

    def _metrics(self) -> list[dict[str, Any]]:
        file = self.folder / "metrics.json"
        lines = file.read_text().splitlines() if file.is_file() else []
        return [found for line in lines if (found := _json(line)) is not None]

    def _trained_share(self) -> float:
        metrics = self._metrics()
        done = metrics[-1]["iteration"] + 1 if metrics else 0
        return done / self.facts["config"]["train"]["max_iter"]

    @property
    def _training_weight(self) -> float:
        iterations = self.facts["config"]["train"]["max_iter"]
        scored = self.experiment.scenes.val * _SCORED_IMAGE
        return _START + iterations * _ITERATION[self.cell.freeze] + scored

    @property
    def _scoring_weight(self) -> float:
        scenes = self.experiment.scenes
        images = scenes.val + len(self.experiment.unseen) * scenes.targets
        return _START + images * _SCORED_IMAGE


def _json(line: str) -> dict[str, Any] | None:
    """A line of metrics; None for one that was cut."""
    try:
        return json.loads(line)
    except ValueError:
        return None

"""What an experiment is made of: folders, scenes, config, and what decides a run's outcome."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from detectron2.config import LazyConfig
from omegaconf import DictConfig

from langdg_d2.engine import apply_overrides
from langdg_d2.evaluation import plain_data
from streets.collection import REVISION, Settings
from streets.domains import DOMAINS, Domain, Role
from streets.experiment.cells import Cell

PROJECT = Path(__file__).resolve().parents[2]
REPOSITORY = PROJECT.parents[1]
CONFIG = PROJECT / "configs/experiment.py"
_DIGITS = 12  # hexadecimal


@dataclass(frozen=True, kw_only=True)
class Scenes:
    """Scenes to draw.

    Attributes:
        height, width: pixels.
        train: to train on, of the source, and of all targets together for the oracle.
        val: of the source, to score.
        targets: of every unseen look, to score.
        seed: of what is scored and of the source; the oracle's scenes have the next one.
        revision: of the generator.
    """

    height: int = 384
    width: int = 768
    train: int = 400
    val: int = 25
    targets: int = 25
    seed: int = 0
    revision: int = REVISION

    def describe(self) -> str:
        """A phrase for people."""
        return (
            f"{self.height}x{self.width} pixels, {self.train} to train on, scored {self.val} of "
            f"the source and {self.targets} of every other look, seed {self.seed}"
        )


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """The setting that all cells share.

    Attributes:
        output: folder of everything that is made.
        data: folder of the scenes.
        scenes: what is drawn.
        role: which looks are scored beside the source: targets, or those to choose settings on.
        overrides: `key=value` changes of the config, for all cells; cells come after them.
    """

    output: Path
    data: Path
    scenes: Scenes
    role: Role
    overrides: tuple[str, ...] = ()

    @property
    def split(self) -> str:
        """Folder for what depends on the looks that are scored."""
        return "targets" if self.role is Role.TARGET else "validation"

    @property
    def scores(self) -> Path:
        """Folder of the tables and pictures."""
        return self.output / self.split

    @property
    def unseen(self) -> list[Domain]:
        """The domains that are scored beside the source."""
        return [domain for domain in DOMAINS if domain.role is self.role]

    @property
    def source(self) -> Domain:
        """The domain that is trained on."""
        return next(domain for domain in DOMAINS if domain.role is Role.SOURCE)

    @cached_property
    def base(self) -> DictConfig:
        """The config, changed as all cells want it; for reading only."""
        return apply_overrides(LazyConfig.load(str(CONFIG)), self.overrides)

    def dataset(self, domain: Domain) -> str:
        """Name in Detectron2's catalog of a domain's scenes to score."""
        return str(self.base.dataloader.test[domain.name].dataset.names)

    def cell_overrides(self, cell: Cell, seed: int) -> list[str]:
        """All changes of the config for a run, without the places of its files."""
        changes = [*self.overrides, *cell.overrides, f"train.seed={seed}", f"styles.seed={seed}"]
        if cell.sees_targets:
            names = ",".join(self.dataset(domain) for domain in self.unseen)
            changes.append(f"dataloader.train.dataset.names=[{names}]")
        return changes

    def cell_config(self, cell: Cell, seed: int) -> DictConfig:
        """The config of a run."""
        changes = self.cell_overrides(cell, seed)[len(self.overrides) :]
        return apply_overrides(self.base, changes)

    @cached_property
    def clip(self) -> dict[str, str | None]:
        """Hashes of CLIP's architecture and weights, None for random ones.

        Raises:
            FileNotFoundError: if a file is missing; tells how to make the weights.
        """
        tower = self.base.model.backbone.tower
        if tower.weights is not None and not Path(tower.weights).is_file():
            raise FileNotFoundError(
                f"there are no weights of CLIP at '{tower.weights}'; projects/streets/"
                "train_clip.py makes them, model.backbone.tower.weights=FILE names others"
            )
        return {
            "name": digest(Path(tower.name).read_bytes()),
            "weights": tower.weights and digest(Path(tower.weights).read_bytes()),
        }

    def facts(self, cell: Cell, seed: int) -> dict[str, Any]:
        """All that decides the outcome of a run, wherever its files lie: plain data."""
        cfg = self.cell_config(cell, seed)
        cfg.model.backbone.tower.update(self.clip)
        cfg.train.output_dir = ""
        config = plain_data(cfg)
        for part in ("test", "evaluators"):
            del config["dataloader"][part]
        del config["evaluation"]["domains"]
        styles = config["styles"]
        if styles["bank"] is None:
            del styles["mining"]
        return {"config": config, "scenes": str(self.scenes), "clip": str(self.clip)}


def collections(experiment: Experiment, cells: Sequence[Cell]) -> dict[Path, Settings]:
    """The collections of scenes that cells need, by their folders."""
    scenes = experiment.scenes
    looks = tuple(domain.look for domain in experiment.unseen)
    common = {"height": scenes.height, "width": scenes.width, "looks": looks}
    found = {
        experiment.data: Settings(
            seed=scenes.seed,
            train=scenes.train,
            val=scenes.val,
            targets=scenes.targets,
            **common,
        )
    }
    if any(cell.sees_targets for cell in cells):
        each = -(-scenes.train // len(looks))
        found[oracle_data(experiment)] = Settings(
            seed=scenes.seed + 1, train=0, val=1, targets=each, **common
        )
    return found


def oracle_data(experiment: Experiment) -> Path:
    """Folder of the scenes that the oracle is trained on."""
    return experiment.data.with_name(f"{experiment.data.name}_oracle_{experiment.split}")


def digest(data: bytes) -> str:
    """A short hash."""
    return hashlib.sha256(data).hexdigest()[:_DIGITS]

"""Run settings recorded in checkpoints; changes that forbid resuming or cause a warning."""

import logging
import sys
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from ..data.sources import images_fingerprint, split_names
from ..utils.errors import LangDGError
from ..utils.file_io import content_digest
from ..utils.provenance import leaves

logger = logging.getLogger(__name__)

_NAMES = "dataloader.train.dataset.names"
_MINED = "styles.mining.batches.dataset.names"
_IMAGES = "dataloader.train.dataset.images"  # fingerprint: a config may find other images later
_BATCH = "dataloader.train.total_batch_size"
_PARTS = "train.accumulate"
_EARLIER = "train.earlier_sources"  # of runs that this one's initial weights come from
_BEFORE = "train.earlier_training"  # identifies how initial weights were trained, seeds aside
_INCOMPLETE = "train.incomplete_sources"  # of this run and those
_CHANGED = "train.changed"  # on resumption
_TRAINABLE = "model.backbone.trainable"
_WEIGHTS = "model.backbone.tower.weights"
_BEGINNING = "train.init_checkpoint"
_FILES = ("model.backbone.tower.name", _WEIGHTS, _BEGINNING)
# Settings that do not affect training. A key includes all keys below it.
_MAY_CHANGE = (
    *("train.output_dir", "train.device", "train.checkpointer", "train.writers"),
    *("train.eval_period", "train.log_period", "train.best_period", "dataloader.train.num_workers"),
    # Of the machine.
    *("optimizer.fused", "train.cudnn_benchmark", "train.ddp", "dataloader.train.pin_memory"),
    *("dataloader.test", "dataloader.evaluators", "evaluation", "styles.mining"),
    *("test", "evaluators"),  # a config imports them under these names
    *("styles.bank", "styles.augmentation.mixer.styles.bank"),  # paths; banks record their origin
    *(_EARLIER, _BEFORE, _INCOMPLETE, _CHANGED),
)
# Settings that must match: they determine the optimizer's state, the data, or what a run started
# from.
_MUST_MATCH = (
    *("optimizer._target_", "optimizer.params._target_", "optimizer.amsgrad", "optimizer.centered"),
    *(_TRAINABLE, "dataloader.train.dataset", *_FILES),
)

# Settings that scores depend on.
_OF_SCORES = (
    *("dataloader.test", "evaluation.classes", "evaluation.corruption"),
    *("evaluation.inference", "evaluation.protocol"),
)

_Changes = dict[str, tuple[Any, Any]]  # earlier and new value by key; None if missing


class RunSettings:
    """The settings of a run, saved in its checkpoints.

    Args:
        settings: the config as plain data, before it is completed for training.
        dataset: dataset dicts of training; a resumed run must have the same, in the same order.
        incomplete: how sources differ from their releases, by name.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        dataset: Sequence[dict[str, Any]] = (),
        incomplete: Mapping[str, str] | None = None,
    ) -> None:
        self._settings = dict(leaves(settings)) | {_INCOMPLETE: dict(incomplete or {})}
        self._changed = ""
        for key in _FILES:  # identified by content, since files may move
            path = Path(str(self._settings.get(key)))
            if path.is_file():
                self._settings[key] = f"{path.name} ({content_digest(path)})"
        if isinstance(self._settings.get(_NAMES), str):  # the same as a list of one
            self._settings[f"{_NAMES}.0"] = self._settings.pop(_NAMES)
        if dataset:
            self._settings[_IMAGES] = images_fingerprint(dataset)

    def state_dict(self) -> dict[str, Any]:
        return self._settings

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue the history of a resumed run; its settings stay those of this command."""
        self._settings[_EARLIER] = state_dict.get(_EARLIER, [])
        if _BEFORE in state_dict:
            self._settings[_BEFORE] = state_dict[_BEFORE]
        self._settings[_INCOMPLETE] = state_dict.get(_INCOMPLETE, {}) | self.incomplete
        self._settings[_CHANGED] = [*state_dict.get(_CHANGED, []), *filter(None, [self._changed])]

    def begin_with(self, checkpoint: Mapping[str, Any]) -> None:
        """Record what the initial weights were trained on."""
        earlier = checkpoint.get("settings", {})
        if not earlier:
            logger.warning(
                "the checkpoint does not say what it was trained on: domains that it has seen "
                "would count as unseen"
            )
        known = {*_sources(earlier), *earlier.get(_EARLIER, [])}
        self._settings[_EARLIER] = sorted(known - {*_sources(self._settings)})
        self._settings[_CHANGED] = earlier.get(_CHANGED, [])
        self._settings[_BEFORE] = _training(earlier)
        self._settings[_INCOMPLETE] = earlier.get(_INCOMPLETE, {}) | self.incomplete

    def add_source(self, name: str) -> None:
        """Record the set that a bank was mined from, perhaps by another run."""
        self._settings[_EARLIER] = sorted({*self._settings.get(_EARLIER, []), *split_names(name)})

    def add_changes(self, changes: Sequence[str]) -> None:
        """Record what else changed on resumption, see `changed`."""
        self._settings[_CHANGED] = list(dict.fromkeys([*self.changed, *changes]))

    @property
    def sources(self) -> list[str]:
        """Registered names of all sets that the weights or styles come from."""
        return list(dict.fromkeys([*_sources(self._settings), *self._settings.get(_EARLIER, [])]))

    @property
    def changed(self) -> list[str]:
        """What changed on resumption, such as "optimizer.lr 0.1 -> 0.01 after 9 iterations"."""
        return self._settings.get(_CHANGED, [])

    @property
    def incomplete(self) -> dict[str, str]:
        """How `sources` differ from their releases, by name."""
        return self._settings[_INCOMPLETE]

    def scores_as(self, earlier: Mapping[str, Any]) -> bool:
        """Whether scores under earlier settings are comparable with this run's."""
        keys = [key for key in {**earlier, **self._settings} if _is_one_of(key, _OF_SCORES)]
        return all(earlier.get(key) == self._settings.get(key) for key in keys)

    def require_continuation(self, path: str, checkpoint: Mapping[str, Any]) -> None:
        """Check that a checkpoint can be resumed with these settings; logs what has changed."""
        if "trainer" not in checkpoint:
            raise LangDGError(
                f"checkpoint '{path}' has weights only and cannot be resumed: pass it as "
                "train.init_checkpoint, and leave out --resume"
            )
        earlier = checkpoint.get("settings", {})
        changes = _changes(earlier, self._settings)
        new_run = f"begin a new run with train.init_checkpoint={path} and another train.output_dir"
        for key, (old, new) in changes.items():
            if _is_one_of(key, _MUST_MATCH):
                raise LangDGError(
                    f"--resume: {key} was {old!r} and is {new!r}, which the state of '{path}' does "
                    f"not fit: leave it as it was, or {new_run}"
                )
        took, takes = _images(earlier), _images(self._settings)
        if took != takes:
            raise LangDGError(
                f"--resume: an iteration took {took} images ({_BATCH} times {_PARTS}) and would "
                f"take {takes}, but the images seen follow from the iteration: keep their "
                f"product, or {new_run}"
            )
        done, wanted = checkpoint["trainer"]["iteration"] + 1, self._settings["train.max_iter"]
        if changes and done >= wanted:
            raise LangDGError(
                f"--resume: '{path}' is at iteration {done} of {wanted}; the changes would have "
                f"no effect: {_listed(changes)}. Raise train.max_iter, or evaluate with --eval-only"
            )
        if done == wanted:
            logger.info("All %d iterations are done: nothing is left to train", wanted)
        if changes:
            logger.info("Changed since the earlier run: %s", _listed(changes))
            self._changed = f"{_listed(changes)} after {done} iterations"

    def warn_of_other_training(self, path: str, checkpoint: Mapping[str, Any]) -> None:
        """Warn if a checkpoint was trained with another model or other sources.

        Weights may fit a model that computes something else, such as with other dilations.
        """
        if not (earlier := checkpoint.get("settings")):
            return
        of_model = [key for key in self._settings if _is_one_of(key, ("model",))]
        of_sources = [*earlier, *self._settings] if _sources(self._settings) else []
        compared = {*of_model, *(key for key in of_sources if _is_one_of(key, (_NAMES,)))}
        changes = {
            key: change
            for key, change in _changes(earlier, self._settings).items()
            if key in compared and not _is_one_of(key, (_WEIGHTS, _TRAINABLE))
        }
        if changes:
            logger.warning(
                "'%s' was trained with other settings than it is used with: %s. Predictions may be "
                "wrong, and tables name the wrong source: use the config of its run",
                *(path, _listed(changes)),
            )

    def warn_of_records(self, checkpoint: Mapping[str, Any]) -> None:
        """Warn if a checkpoint was trained with another config than results will name."""
        if not (earlier := checkpoint.get("settings")):
            return
        found = [
            f"{key} {old!r}"
            for key, (old, _) in training_differences(earlier, self._settings).items()
            # An evaluation reads no training images, and its initial checkpoint is the scored one.
            if key not in (_IMAGES, _WEIGHTS, _BEGINNING, _BEFORE)
        ]
        if found:
            logger.warning(
                "results will record this config, but the checkpoint was trained with %s",
                ", ".join(found),
            )


def training_settings(state: Mapping[str, Any]) -> dict[str, Any]:
    """The settings in a state of `RunSettings` that affect training, for records."""
    return {k: v for k, v in state.items() if k == _BEFORE or not _is_one_of(k, _MAY_CHANGE)}


def training_differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> _Changes:
    """Training settings in which two runs differ, by key; seeds are ignored.

    Args:
        one: state of `RunSettings`.
        other: of another run.
    """
    found = {
        key: (old, new)
        for key, (old, new) in _changes(one, other).items()
        # Runs with different seeds may start from different checkpoints.
        if key.rpartition(".")[2] != "seed" and not (key == _BEGINNING and old and new)
    }
    before = one.get(_BEFORE), other.get(_BEFORE)
    return found | ({_BEFORE: before} if before[0] != before[1] else {})


def _training(settings: Mapping[str, Any]) -> str | None:
    """Identifies how a checkpoint with these settings was trained, seeds aside."""
    kept = sorted(
        (key, str(value))
        for key, value in settings.items()
        if not _is_one_of(key, _MAY_CHANGE) and key.rpartition(".")[2] != "seed"
    )
    return sha256(repr(kept).encode()).hexdigest()[:16] if kept else None


def training_progress(checkpoint: Mapping[str, Any]) -> tuple[int, int] | None:
    """(Iterations done, total) of a checkpoint's run; None if it does not say."""
    length = checkpoint.get("settings", {}).get("train.max_iter")
    done = checkpoint.get("trainer", checkpoint).get("iteration")  # beside the best weights
    if length is None or done is None:
        return None
    return min(done + 1, length), length


def training_styles(checkpoint: Mapping[str, Any]) -> dict[str, Any] | None:
    """`TargetStyles.record` of a checkpoint's run; None without restyling, or if unknown."""
    hooks = checkpoint.get("trainer", {}).get("hooks", {})
    # Files of the best weights have no trainer.
    return hooks.get("StyleAugmentationHook", checkpoint).get("styles")


def training_seed(checkpoint: Mapping[str, Any]) -> int | None:
    """Seed of a checkpoint's run; None if it does not say, or if the seed was drawn."""
    seed = checkpoint.get("settings", {}).get("train.seed", -1)
    return seed if seed >= 0 else None


def _changes(earlier: Mapping[str, Any], later: Mapping[str, Any]) -> _Changes:
    """Changes that affect training."""
    pairs = {
        key: (earlier.get(key), later.get(key))
        for key in {**earlier, **later}
        if not _is_one_of(key, _MAY_CHANGE)
    }
    return {key: pair for key, pair in pairs.items() if not _same(key, *pair)}


def _listed(changes: _Changes) -> str:
    return ", ".join(f"{key} {old!r} -> {new!r}" for key, (old, new) in changes.items())


def _same(key: str, one: Any, other: Any) -> bool:
    if one == other:
        return True
    if not (key.endswith("_target_") and isinstance(one, str) and isinstance(other, str)):
        return False
    # Configs in YAML have the shortest path, and a class may have moved within its package.
    # A checkpoint may come from a stranger: what it names is not imported.
    known, found = _loaded(one), _loaded(other)
    moved = known is None and all(one.split(".")[k] == other.split(".")[k] for k in (0, -1))
    return moved or (known is not None and known is found)


def _loaded(name: str) -> Any:
    """The object of a dotted name if its module is loaded; nothing is imported."""
    module, _, attribute = name.rpartition(".")
    return getattr(sys.modules.get(module), attribute, None)


def _sources(settings: Mapping[str, Any]) -> list[str]:
    names = [name for key, name in settings.items() if _is_one_of(key, (_NAMES, _MINED))]
    return list(dict.fromkeys(names))


def _images(settings: Mapping[str, Any]) -> int:
    """Images per iteration; 1 for loaders that do not say."""
    return settings.get(_BATCH, 1) * settings.get(_PARTS, 1)


def _is_one_of(key: str, names: tuple[str, ...]) -> bool:
    return any(key == name or key.startswith(f"{name}.") for name in names)

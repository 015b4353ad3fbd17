"""Run settings in checkpoints, and the changes that prevent resuming or cause a warning."""

import logging
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
_IMAGES = "dataloader.train.dataset.images"  # fingerprint, because files may change
_BATCH = "dataloader.train.total_batch_size"
_PARTS = "train.accumulate"
_TRAINABLE = "model.backbone.trainable"
_WEIGHTS = "model.backbone.tower.weights"
_BEGINNING = "train.init_checkpoint"
_FILES = ("model.backbone.tower.name", _WEIGHTS, _BEGINNING)
# History of this run and of those that produced its initial weights.
_EARLIER = "train.earlier_sources"
_INCOMPLETE = "train.incomplete_sources"
_CHANGED = "train.changed"  # when the run was resumed
_BEFORE = "train.earlier_training"  # identifies the training of initial weights, except seeds
# Settings that do not affect training. A key includes all keys below it.
_MAY_CHANGE = (
    *("train.output_dir", "train.device", "train.checkpointer", "train.writers"),
    *("train.eval_period", "train.log_period", "train.best_period", "dataloader.train.num_workers"),
    # Hardware-dependent settings.
    *("optimizer.fused", "train.cudnn_benchmark", "train.ddp", "dataloader.train.pin_memory"),
    *("dataloader.test", "dataloader.evaluators", "evaluation", "styles.mining"),
    *("test", "evaluators"),  # names under which configs import them
    *("styles.bank", "styles.augmentation.mixer.styles.bank"),  # banks record their origin
    *(_EARLIER, _INCOMPLETE, _CHANGED),
)
# Settings that must match because they determine the optimizer's state, the data or the starting
# point.
_MUST_MATCH = (
    *("optimizer._target_", "optimizer.params._target_", "optimizer.amsgrad", "optimizer.centered"),
    *(_TRAINABLE, "dataloader.train.dataset", *_FILES),
)
# Settings that evaluation lacks, because it trains nothing and loads the scored checkpoint.
_OF_TRAINING_ALONE = (_IMAGES, _TRAINABLE, _WEIGHTS, _BEGINNING, _BEFORE)

_Changes = dict[str, tuple[Any, Any]]  # earlier and new value by key; None if missing


class RunSettings:
    """Settings of a run by dotted key, and its history, as saved in its checkpoints.

    Args:
        settings: config as plain data, before it is completed for training.
        dataset: training dataset dicts; a resumed run must have the same, in the same order.
        incomplete: differences between sources and their releases, by name.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        dataset: Sequence[dict[str, Any]] = (),
        incomplete: Mapping[str, str] | None = None,
    ) -> None:
        self._settings = dict(leaves(settings))
        for key in _FILES:  # identified by content, because files may move
            path = Path(str(self._settings.get(key)))
            if path.is_file():
                self._settings[key] = f"{path.name} ({content_digest(path)})"
        if isinstance(self._settings.get(_NAMES), str):  # equivalent to a list of one
            self._settings[f"{_NAMES}.0"] = self._settings.pop(_NAMES)
        if dataset:
            self._settings[_IMAGES] = images_fingerprint(dataset)
        self._settings |= {_EARLIER: [], _INCOMPLETE: dict(incomplete or {}), _CHANGED: []}

    def state_dict(self) -> dict[str, Any]:
        return self._settings

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue the history of a resumed run, with the settings of this command."""
        self._settings |= {
            _EARLIER: state_dict.get(_EARLIER, []),
            _INCOMPLETE: state_dict.get(_INCOMPLETE, {}) | self.incomplete,
            _CHANGED: [*state_dict.get(_CHANGED, []), *self.changed],
        }
        if _BEFORE in state_dict:
            self._settings[_BEFORE] = state_dict[_BEFORE]

    def begin_with(self, checkpoint: Mapping[str, Any]) -> None:
        """Start the history with that of the initial weights."""
        earlier = checkpoint.get("settings", {})
        if not earlier:
            logger.warning(
                "the checkpoint has no record of its training data: domains that it was trained "
                "on will count as unseen"
            )
        known = {*_sources(earlier), *earlier.get(_EARLIER, [])}
        self._settings |= {
            _EARLIER: sorted(known - {*_sources(self._settings)}),
            _INCOMPLETE: earlier.get(_INCOMPLETE, {}) | self.incomplete,
            _CHANGED: earlier.get(_CHANGED, []),
            _BEFORE: _training(earlier),
        }

    def add_source(self, name: str) -> None:
        """Record the data set that a bank was mined from, perhaps by another run."""
        self._settings[_EARLIER] = sorted({*self._settings[_EARLIER], *split_names(name)})

    def add_changes(self, changes: Sequence[str]) -> None:
        """Record other changes of a resumed run, see `changed`."""
        self._settings[_CHANGED] = list(dict.fromkeys([*self.changed, *changes]))

    @property
    def sources(self) -> list[str]:
        """Registered names of all data sets that weights or styles come from."""
        return list(dict.fromkeys([*_sources(self._settings), *self._settings[_EARLIER]]))

    @property
    def changed(self) -> list[str]:
        """Changes when the run was resumed, e.g. "optimizer.lr 0.1 -> 0.01 after 9 iterations"."""
        return self._settings[_CHANGED]

    @property
    def incomplete(self) -> dict[str, str]:
        """Differences between `sources` and their releases, by name."""
        return self._settings[_INCOMPLETE]

    def require_continuation(self, path: str, checkpoint: Mapping[str, Any]) -> None:
        """Check that a checkpoint can be resumed with these settings, and log changes.

        Args:
            path: file of the checkpoint.
            checkpoint: its content.

        Raises:
            LangDGError: if it cannot be resumed, or if changed settings would have no effect.
        """
        if "trainer" not in checkpoint:
            raise LangDGError(
                f"checkpoint '{path}' has only weights and cannot be resumed: pass it as "
                "train.init_checkpoint, without --resume"
            )
        earlier = checkpoint.get("settings", {})
        changes = _changes(earlier, {**self._settings, _BEFORE: earlier.get(_BEFORE)})
        new_run = f"start a new run with train.init_checkpoint={path} and another train.output_dir"
        for key, (old, new) in changes.items():
            if _is_one_of(key, _MUST_MATCH):
                raise LangDGError(
                    f"--resume: {key} was {old!r} and is {new!r}, which does not fit the state of "
                    f"'{path}': restore the old value, or {new_run}"
                )
        took, takes = (s.get(_BATCH, 1) * s.get(_PARTS, 1) for s in (earlier, self._settings))
        if took != takes:
            raise LangDGError(
                f"--resume: an iteration had {took} images ({_BATCH} times {_PARTS}) and would "
                f"have {takes}, but the iteration determines which images were seen: keep this "
                f"product, or {new_run}"
            )
        done, wanted = checkpoint["trainer"]["iteration"] + 1, self._settings["train.max_iter"]
        if changes and done >= wanted:
            raise LangDGError(
                f"--resume: '{path}' is at iteration {done} of {wanted}, so these changes have no "
                f"effect: {_listed(changes)}. Increase train.max_iter, or evaluate with --eval-only"
            )
        if done == wanted:
            logger.info("All %d iterations are done", wanted)
        if changes:
            logger.info("Changed since the earlier run: %s", _listed(changes))
            self.changed.append(f"{_listed(changes)} after {done} iterations")

    def warn_of_other_training(self, path: str, checkpoint: Mapping[str, Any]) -> None:
        """Warn if a checkpoint was trained with other settings than these.

        Weights may fit a model that computes something else, for example with other dilations.

        Args:
            path: file of the checkpoint.
            checkpoint: its content.
        """
        earlier = checkpoint.get("settings", {})
        # Without sources, the settings are only those of a model.
        known = {**self._settings, **(earlier if self.sources else {})}
        changes = {
            key: change
            for key, change in training_differences(earlier, self._settings).items()
            if key in known and not _is_one_of(key, _OF_TRAINING_ALONE)
        }
        if earlier and changes:
            logger.warning(
                "'%s' was trained with other settings than those in use: %s. Use the config of its "
                "run; otherwise, predictions may be wrong, and results will name another training",
                *(path, _listed(changes)),
            )


def training_differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> _Changes:
    """Return the training settings in which two runs differ, except seeds.

    Args:
        one: state of `RunSettings`.
        other: state of another run.

    Returns:
        Both values by key, None for a missing one.
    """
    return {
        key: (old, new)
        for key, (old, new) in _changes(one, other).items()
        # Runs with different seeds may start from different checkpoints.
        if not _is_seed(key) and not (key == _BEGINNING and old and new)
    }


def training_facts(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts about its training in a checkpoint, for records.

    Returns:
        "trained", the settings that affect training; "seed", None if it is unknown or was drawn;
        "progress", completed and total iterations, or None; "styles", `TargetStyles.record`, or
        None.
    """
    settings = checkpoint.get("settings", {})
    trainer = checkpoint.get("trainer", checkpoint)  # `model_best.pth` has none
    seed, length = settings.get("train.seed", -1), settings.get("train.max_iter")
    done = trainer.get("iteration")
    known = length is not None and done is not None
    return {
        "trained": training_settings(settings),
        "seed": seed if seed >= 0 else None,
        "progress": (min(done + 1, length), length) if known else None,
        "styles": trainer.get("hooks", {}).get("StyleAugmentationHook", checkpoint).get("styles"),
    }


def training_settings(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings in a state of `RunSettings` that affect training, for records."""
    return {key: value for key, value in state.items() if not _is_one_of(key, _MAY_CHANGE)}


def _training(settings: Mapping[str, Any]) -> str | None:
    """Return an identifier of the training with these settings, except seeds."""
    kept = sorted((k, str(v)) for k, v in training_settings(settings).items() if not _is_seed(k))
    return sha256(repr(kept).encode()).hexdigest()[:16] if kept else None


def _changes(earlier: Mapping[str, Any], later: Mapping[str, Any]) -> _Changes:
    """Return the changes that affect training."""
    pairs = {k: (earlier.get(k), later.get(k)) for k in training_settings({**earlier, **later})}
    return {k: (a, b) for k, (a, b) in pairs.items() if _comparable(k, a) != _comparable(k, b)}


def _comparable(key: str, value: Any) -> Any:
    """Reduce class paths to package and name, because modules vary with YAML and versions."""
    if key.endswith("_target_") and isinstance(value, str):
        return value.split(".")[0], value.split(".")[-1]
    return value


def _listed(changes: _Changes) -> str:
    return ", ".join(f"{key} {old!r} -> {new!r}" for key, (old, new) in changes.items())


def _sources(settings: Mapping[str, Any]) -> list[str]:
    names = [name for key, name in settings.items() if _is_one_of(key, (_NAMES, _MINED))]
    return list(dict.fromkeys(names))


def _is_one_of(key: str, names: tuple[str, ...]) -> bool:
    return any(key == name or key.startswith(f"{name}.") for name in names)


def _is_seed(key: str) -> bool:
    return key.rpartition(".")[2] == "seed"

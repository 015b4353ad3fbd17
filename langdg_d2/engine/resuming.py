"""Whether a run can go on with an earlier one's checkpoint, and what is new in its settings."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..data.seeded_batches import images_fingerprint, same_images
from ..utils.errors import LangDGError

logger = logging.getLogger(__name__)

# Settings that do not affect training. A key stands for all keys below it, too.
_FREE = (
    *("train.output_dir", "train.init_checkpoint", "train.device", "train.checkpointer"),
    *("train.eval_period", "train.log_period", "train.best_period", "dataloader.train.num_workers"),
    *("dataloader.test", "dataloader.evaluators", "evaluation", "styles.mining."),
    "model.backbone.tower.weights",
)
# The state of a checkpoint has no meaning with other values.
_TRAINABLE = "model.backbone.trainable"
_FIXED = ("optimizer._target_", _TRAINABLE, "dataloader.train.dataset")
# What the figures of an evaluation hang on, or name.
_OF_RESULTS = ("model", "dataloader.train.dataset.names")
_IMAGES = "dataloader.train.dataset.images"  # as the same config may find other ones
_NAMES = "dataloader.train.dataset.names"
_BATCH = "dataloader.train.total_batch_size"
_PARTS = "train.accumulate"


class RunSettings:
    """The settings of a run as a part of its checkpoints, for the runs that go on with them.

    Args:
        settings: the config as nested plain data, as the command was given it.
        dataset: dataset dicts of training, whose images and order a resumed run must have;
            None where they do not matter.
    """

    def __init__(
        self, settings: Mapping[str, Any], dataset: Sequence[dict[str, Any]] | None = None
    ) -> None:
        self._settings = dict(_leaves(settings))
        if dataset:
            self._settings[_IMAGES] = images_fingerprint(dataset)

    def state_dict(self) -> dict[str, Any]:
        return self._settings

    def load_state_dict(self, _: dict[str, Any]) -> None:
        """Nothing: a run has the settings it was given."""

    def require_continuation(self, path: str, checkpoint: Mapping[str, Any]) -> None:
        """See that a run with these settings can go on with a checkpoint, and log what is new.

        Args:
            path: of the checkpoint, for messages.
            checkpoint: its content.

        Raises:
            LangDGError: if it has weights only, has more iterations behind it than the run is to
                have, or settings have changed with which its state has no meaning, or which
                nothing is left to be trained with.
        """
        if "trainer" not in checkpoint:
            raise LangDGError(
                f"checkpoint '{path}' has weights only and cannot be resumed: pass it as "
                "train.init_checkpoint, and leave out --resume"
            )
        earlier = checkpoint.get("settings", {})
        changes = self._changes(earlier)
        new_run = f"begin a new run with train.init_checkpoint={path} and another train.output_dir"
        # An option that only one version of the code has does not make it another run.
        effective = [key for key in changes if not _is_added(key, earlier, self._settings)]
        for key, (old, new) in changes.items():
            if key in effective and _is_one_of(key, _FIXED):
                raise LangDGError(
                    f"--resume: {key} was {old!r} and is {new!r}, with which the state of '{path}' "
                    f"has no meaning: leave it as it was, or {new_run}"
                )
        if (old := _images(earlier)) and old != _images(self._settings):
            raise LangDGError(
                f"--resume: an iteration took {old} images ({_BATCH} times {_PARTS}) and would "
                f"take {_images(self._settings)}, but iterations tell which images were seen: keep "
                f"their product, or {new_run}"
            )
        done, wanted = checkpoint["trainer"]["iteration"] + 1, self._settings["train.max_iter"]
        listed = ", ".join(f"{key} {old!r} -> {new!r}" for key, (old, new) in changes.items())
        if done > wanted or (done == wanted and effective):
            unused = f"; no iteration is left to use these changes: {listed}"
            raise LangDGError(
                f"--resume: '{path}' has {done} iterations behind it, and train.max_iter is "
                f"{wanted}{unused if effective else ''}. Raise train.max_iter, or evaluate with "
                "--eval-only"
            )
        if done == wanted:
            logger.info("All %d iterations are done: nothing is left to train", wanted)
        if changes:
            logger.info("Changed against the earlier run: %s", listed)

    def warn_of_other_training(self, path: str, checkpoint: Mapping[str, Any]) -> None:
        """Warn where a checkpoint to use was trained with another model or other sources.

        Weights can fit a model that computes something else, such as other dilations.

        Args:
            path: of the checkpoint, for the message.
            checkpoint: its content; those without settings are not compared.
        """
        if not (earlier := checkpoint.get("settings")):
            return
        changes = {
            key: pair
            for key, pair in self._changes(earlier).items()
            if _is_one_of(key, _OF_RESULTS)
            and not _is_one_of(key, (_TRAINABLE,))
            and not _is_added(key, earlier, self._settings)
        }
        if changes:
            logger.warning(
                "'%s' was trained with other settings than it is used with: %s. Predictions may be "
                "wrong, and tables name the wrong source: use the config of its run",
                *(
                    path,
                    ", ".join(f"{key} {old!r} -> {new!r}" for key, (old, new) in changes.items()),
                ),
            )

    def _changes(self, earlier: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
        """Old and new values by key, of what counts; None for one that is not there."""
        one, other = _named(earlier), _named(self._settings)
        pairs = {k: (one.get(k), other.get(k)) for k in {**one, **other}}
        if None in pairs.get(_IMAGES, ()):  # one of the runs did not record them
            del pairs[_IMAGES]
        counting = {k: pair for k, pair in pairs.items() if not _is_one_of(k, _FREE)}
        return {k: pair for k, pair in counting.items() if not _same(k, *pair)}


def _named(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings in which a data set's name is a list of one, which means the same."""
    is_name = isinstance(settings.get(_NAMES), str)
    return {f"{k}.0" if k == _NAMES and is_name else k: value for k, value in settings.items()}


def _is_added(key: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether only one of two configs has an option; not if a list grew or a value became one."""
    one, other = _named(one), _named(other)
    if key in one and key in other:
        return False
    lacking = other if key in one else one
    *parents, name = key.split(".")
    while parents:
        parent = ".".join(parents)
        if parent in lacking:
            return False
        if any(k.startswith(f"{parent}.") for k in lacking):
            break
        name = parents.pop()
    return not name.isdigit() and not any(k.startswith(f"{key}.") for k in lacking)


def _same(key: str, one: Any, other: Any) -> bool:
    if key == _IMAGES:
        return same_images(one, other)
    if key == "model.backbone.tower.name":  # or a file of its description, wherever it lies
        return Path(str(one)).name == Path(str(other)).name
    if not (key.endswith("_target_") and isinstance(one, str) and isinstance(other, str)):
        return bool(one == other)
    # A config in YAML has a class by the shortest path that leads to it.
    (short, name), (long, its_name) = (
        path.rsplit(".", 1) for path in sorted((one, other), key=len)
    )
    return name == its_name and f"{long}.".startswith(f"{short}.")


def _images(settings: Mapping[str, Any]) -> int | None:
    """That an iteration takes."""
    return settings[_BATCH] * settings[_PARTS] if {_BATCH, _PARTS} <= settings.keys() else None


def _is_one_of(key: str, names: tuple[str, ...]) -> bool:
    return any(key == name or key.startswith(f"{name}.") for name in names)


def _leaves(node: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values; positions in lists are keys too, empty containers values."""
    if not isinstance(node, dict | list) or not node:
        yield key, node
        return
    for name, child in node.items() if isinstance(node, dict) else enumerate(node):
        yield from _leaves(child, f"{key}.{name}" if key else str(name))

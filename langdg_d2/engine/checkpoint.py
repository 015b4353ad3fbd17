"""Checkpoints: atomic writing, strict loading, which one a run begins with, whether it fits."""

import hashlib
import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.engine import hooks
from detectron2.utils import comm
from detectron2.utils.file_io import PathManager
from torch import nn

from ..data.sources import images_fingerprint, same_images
from ..modeling.checkpoint_files import (
    CheckpointError,
    read_checkpoint,
    shortened,
    without_prefix,
)
from ..structures import LabelSpace
from ..utils.distributed import of_main_process
from ..utils.errors import LangDGError, require_whole
from ..utils.file_io import remove_unfinished, replacing, write_atomically

logger = logging.getLogger(__name__)

_NAMES = "dataloader.train.dataset.names"
_IMAGES = "dataloader.train.dataset.images"  # the same config may find other ones
_BATCH = "dataloader.train.total_batch_size"
_PARTS = "train.accumulate"
_EARLIER = "train.earlier_sources"  # of the runs whose weights it began with
_INCOMPLETE = "train.incomplete_sources"  # of this run and of those
_TRAINABLE = "model.backbone.trainable"
# Settings that do not affect training. A key stands for all keys below it, too.
_FREE = (
    *("train.output_dir", "train.init_checkpoint", "train.device", "train.checkpointer"),
    *("train.eval_period", "train.log_period", "train.best_period", "dataloader.train.num_workers"),
    *("dataloader.test", "dataloader.evaluators", "evaluation", "styles.mining"),
    *("model.backbone.tower.weights", _EARLIER, _INCOMPLETE),
)
# Settings without which a checkpoint's state has no meaning.
_FIXED = ("optimizer._target_", _TRAINABLE, "dataloader.train.dataset")
# Settings that the figures of an evaluation depend on.
_OF_RESULTS = ("model", _NAMES)
_OF_SCORES = (
    *("dataloader.test", "evaluation.classes", "evaluation.corruption"),
    *("evaluation.inference", "evaluation.protocol"),
)


class StrictCheckpointer(DetectionCheckpointer):
    """Detectron2's checkpointer, but a checkpoint with other weights than the model's is an error.

    It reads no pickle beyond tensors and plain values, which Detectron2 does for `.pkl`, and
    nothing damaged. Writing is atomic. The classes of a model that has some are written, too.

    Args:
        same_classes: refuse files of classes with other names than the model's.

    Attributes:
        classes: those of the file loaded last; None where it does not say.
    """

    def __init__(
        self, model: nn.Module, save_dir: str = "", *, same_classes: bool = True, **options: Any
    ) -> None:
        super().__init__(model, save_dir, **options)
        self._same_classes = same_classes
        self.classes: LabelSpace | None = None

    def start(self, path: str, *, resume: bool) -> int:
        """Load what a run begins with; returns its first iteration.

        Args:
            path: from `starting_checkpoint`; "" loads nothing.
            resume: go on with the run of that file, see `starting_checkpoint`.
        """
        self._same_classes &= resume  # training may go on to other classes
        if path:
            content = self.load(path, checkpointables=None if resume else [])
            if not resume and "settings" in self.checkpointables:
                self.checkpointables["settings"].begin_with(content)
            if difference := self._other_classes():
                logger.warning("%s", difference)
        if self.save_dir and self.save_to_disk:
            remove_unfinished(Path(self.save_dir), "*.pth", "last_checkpoint")
        return self.checkpointables["trainer"].iter + 1 if resume else 0

    def save(self, name: str, **kwargs: Any) -> None:
        """Write a checkpoint, then say that it is the last.

        Raises:
            OSError: if it cannot be written; earlier checkpoints are then left as they were.
        """
        if not self.save_dir or not self.save_to_disk:
            return
        states: dict[str, Any] = {"model": self.model.state_dict()}
        if isinstance(classes := getattr(self.model, "classes", None), LabelSpace):
            states["classes"] = classes.plain()
        states |= {key: part.state_dict() for key, part in self.checkpointables.items()}
        path = Path(self.save_dir, f"{name}.pth")
        logger.info("Saving the checkpoint '%s'", path)
        try:
            with replacing(path) as file:
                torch.save({**states, **kwargs}, file)
            self.tag_last_checkpoint(path.name)
        except (OSError, RuntimeError) as error:
            # torch puts an error of its own in the place of the file's.
            cause = error if isinstance(error, OSError) else error.__context__
            if not isinstance(cause, OSError):
                raise
            raise OSError(
                cause.errno,
                f"the checkpoint '{path}' cannot be written: {cause.strerror}. Earlier ones are "
                "as they were: make room and go on with --resume",
            ) from error

    def tag_last_checkpoint(self, last_filename_basename: str) -> None:
        write_atomically(Path(self.save_dir, "last_checkpoint"), last_filename_basename.encode())

    def _load_file(self, filename: str) -> Any:
        self._file = filename  # for errors
        checkpoint = read_checkpoint(filename)
        self.classes = _classes_of(checkpoint, filename)
        return checkpoint

    def _load_model(self, checkpoint: Any) -> Any:
        if self._same_classes and (difference := self._other_classes()):
            raise LangDGError(f"{difference}: use the config it was trained with")
        # Before Detectron2 does, which would log a line for every one of them.
        state = self.model.state_dict()
        weights = checkpoint["model"] = without_prefix(checkpoint["model"], state)
        shapes, wanted = ({k: t.shape for k, t in each.items()} for each in (weights, state))
        unfit = sorted({name for name, _ in shapes.items() ^ wanted.items()})
        if unfit:
            raise LangDGError(
                f"use the config that the checkpoint was trained with: '{self._file}' does not fit "
                f"the model: {len(unfit)} weights are missing in it, unknown or of another shape "
                f"({shortened(unfit)})"
            )
        return super()._load_model(checkpoint)

    def _other_classes(self) -> str:
        """How the names of the file's classes differ from the model's; "" where they do not."""
        ours, theirs = getattr(self.model, "classes", None), self.classes
        if theirs is None or ours is None or theirs.names == ours.names:
            return ""
        return (
            f"checkpoint '{self._file}' has {len(theirs)} classes ({', '.join(theirs.names)}), "
            f"model.classes of the config {len(ours)} ({', '.join(ours.names)})"
        )


def _classes_of(checkpoint: dict[str, Any], filename: str) -> LabelSpace | None:
    stored = checkpoint.get("classes")
    if stored is None:
        return None
    try:
        return LabelSpace(**stored)
    except (TypeError, LangDGError) as error:
        raise CheckpointError(f"'{filename}': its classes cannot be read: {error}") from error


class PeriodicCheckpointer(hooks.PeriodicCheckpointer):
    """Detectron2's hook, but `max_to_keep` counts those from before a resumption, too."""

    def before_train(self) -> None:
        super().before_train()
        if self.trainer.start_iter:
            folder = Path(self.checkpointer.save_dir)
            self.recent_checkpoints = [
                str(path)
                for number, path in _numbered(folder).items()
                if number < self.trainer.start_iter
            ]

    def after_step(self) -> None:
        super().after_step()  # removes one, after it has saved one
        saved = (self.trainer.iter + 1) % self.period == 0
        while saved and self.max_to_keep and len(self.recent_checkpoints) > self.max_to_keep:
            Path(self.recent_checkpoints.pop(0)).unlink(missing_ok=True)


class RunSettings:
    """The settings of a run as a part of its checkpoints, for the runs that go on with them.

    Args:
        settings: the config as nested plain data, as the command was given it.
        dataset: dataset dicts of training, whose images and order a resumed run must have;
            None where they do not matter.
        incomplete: in what sources differ from their releases, by name.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        dataset: Sequence[dict[str, Any]] | None = None,
        incomplete: Mapping[str, str] | None = None,
    ) -> None:
        self._settings = dict(_leaves(settings)) | {_INCOMPLETE: dict(incomplete or {})}
        if dataset:
            self._settings[_IMAGES] = images_fingerprint(dataset)

    def state_dict(self) -> dict[str, Any]:
        return self._settings

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the earlier sources of a run; it has the settings it was given."""
        self._settings[_EARLIER] = state_dict.get(_EARLIER, [])
        self._settings[_INCOMPLETE] = state_dict.get(_INCOMPLETE, {}) | self.incomplete

    def begin_with(self, checkpoint: Mapping[str, Any]) -> None:
        """Remember the sources that the weights of a checkpoint were trained on.

        Args:
            checkpoint: its content; one without settings does not say.
        """
        earlier = checkpoint.get("settings", {})
        known = {*_sources(earlier), *earlier.get(_EARLIER, [])}
        self._settings[_EARLIER] = sorted(known - {*_sources(self._settings)})
        self._settings[_INCOMPLETE] = earlier.get(_INCOMPLETE, {}) | self.incomplete

    @property
    def sources(self) -> list[str]:
        """Registered names of the sets that the run and earlier ones were trained on."""
        return [*_sources(self._settings), *self._settings.get(_EARLIER, [])]

    @property
    def incomplete(self) -> dict[str, str]:
        """In what these differed from their releases, by name."""
        return self._settings[_INCOMPLETE]

    def scores_as(self, earlier: Mapping[str, Any]) -> bool:
        """Whether scores of a run with earlier settings compare with those of this one."""
        one, other = (
            {key: value for key, value in settings.items() if _is_one_of(key, _OF_SCORES)}
            for settings in (earlier, self._settings)
        )
        return one == other

    def require_continuation(self, path: str, checkpoint: Mapping[str, Any]) -> None:
        """See that a run with these settings can go on with a checkpoint, and log what is new.

        Args:
            path: of the checkpoint, for messages.
            checkpoint: its content.

        Raises:
            LangDGError: if it has weights only, has more iterations behind it than the run is to
                have, or settings have changed that its state depends on, or some have changed and
                no iteration is left.
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
        effective = {key: change for key, change in changes.items() if not change.added}
        for key, change in effective.items():
            if _is_one_of(key, _FIXED):
                raise LangDGError(
                    f"--resume: {key} was {change.old!r} and is {change.new!r}, with which the "
                    f"state of '{path}' has no meaning: leave it as it was, or {new_run}"
                )
        if (old := _images(earlier)) and old != _images(self._settings):
            raise LangDGError(
                f"--resume: an iteration took {old} images ({_BATCH} times {_PARTS}) and would "
                f"take {_images(self._settings)}, but the images seen follow from the iteration: "
                f"keep their product, or {new_run}"
            )
        done, wanted = checkpoint["trainer"]["iteration"] + 1, self._settings["train.max_iter"]
        if done > wanted or (done == wanted and effective):
            unused = f"; no iteration is left to use these changes: {_listed(changes)}"
            raise LangDGError(
                f"--resume: '{path}' has {done} iterations behind it, and train.max_iter is "
                f"{wanted}{unused if effective else ''}. Raise train.max_iter, or evaluate with "
                "--eval-only"
            )
        if done == wanted:
            logger.info("All %d iterations are done: nothing is left to train", wanted)
        if changes:
            logger.info("Changed against the earlier run: %s", _listed(changes))

    def warn_of_other_training(self, path: str, checkpoint: Mapping[str, Any]) -> None:
        """Warn where a checkpoint to use was trained with another model or other sources.

        Weights can fit a model that computes something else, such as other dilations.

        Args:
            path: of the checkpoint, for the message.
            checkpoint: its content; one without settings is not compared.
        """
        if not (earlier := checkpoint.get("settings")):
            return
        changes = {
            key: change
            for key, change in self._changes(earlier).items()
            if _is_one_of(key, _OF_RESULTS)
            and not _is_one_of(key, (_TRAINABLE,))
            and not change.added
        }
        if changes:
            logger.warning(
                "'%s' was trained with other settings than it is used with: %s. Predictions may be "
                "wrong, and tables name the wrong source: use the config of its run",
                *(path, _listed(changes)),
            )

    def _changes(self, earlier: Mapping[str, Any]) -> dict[str, "_Change"]:
        """Changes of the settings that affect training, by key."""
        old, new = _with_names(earlier), _with_names(self._settings)
        if not (_IMAGES in old and _IMAGES in new):  # one of the runs did not record them
            old.pop(_IMAGES, None)
            new.pop(_IMAGES, None)
        changes = {}
        for key in {**old, **new}:
            pair = old.get(key), new.get(key)
            if not _is_one_of(key, _FREE) and not _same(key, *pair):
                added = (key in old) != (key in new) and _is_added(key, new if key in old else old)
                changes[key] = _Change(*pair, added)
        return changes


class Beginning(NamedTuple):
    """What a run begins with.

    Attributes:
        checkpoint: file whose weights take the place of CLIP's; "" if training starts from CLIP.
        resumed: whether this run goes on with the run that wrote the file.
    """

    checkpoint: str
    resumed: bool


def starting_checkpoint(
    *,
    output_dir: str,
    init_checkpoint: str,
    max_iter: int,
    resume: bool,
    eval_only: bool,
    settings: RunSettings | None = None,
) -> Beginning:
    """What a run begins with, as the main process decides for all; every process must call this.

    Args:
        output_dir: where an earlier run may have left checkpoints, of which the last counts, or
            the one before where that is damaged.
        init_checkpoint: file named in the config, or "".
        max_iter: of the run; what an earlier, longer one has left there is not used.
        resume: go on with the earlier run, if there is one.
        eval_only: evaluate the named file, or else the earlier run's last checkpoint.
        settings: those of the run, which may not be able to go on with the earlier one.

    Raises:
        FileNotFoundError: if the named file does not exist, or there is nothing to evaluate.
        CheckpointError: if the file is damaged, or all of the earlier run are; if processes find
            another file there.
        LangDGError: if `max_iter` is not positive; see `RunSettings.require_continuation`.
    """
    require_whole("train.max_iter", max_iter)

    def decide() -> Beginning:
        if init_checkpoint and not PathManager.isfile(init_checkpoint):
            raise FileNotFoundError(f"train.init_checkpoint '{init_checkpoint}' does not exist")
        earlier = DetectionCheckpointer(nn.Module(), output_dir)
        if earlier.has_checkpoint() and (resume or (eval_only and not init_checkpoint)):
            path, content = _last_whole(Path(earlier.get_checkpoint_file()), max_iter)
            resumed = resume and not eval_only
            if resumed and settings:
                settings.require_continuation(path, content)
            return Beginning(path, resumed)
        return _without_earlier_run(output_dir, init_checkpoint, resume, eval_only)

    beginning = of_main_process(decide)
    if beginning.checkpoint and comm.get_world_size() > 1:
        _require_same(beginning.checkpoint)
    return beginning


class _Change(NamedTuple):
    """A setting's values in two runs, None where it is missing.

    Attributes:
        added: it is an option that the code of one of the runs does not have.
    """

    old: Any
    new: Any
    added: bool


def _without_earlier_run(
    output_dir: str, init_checkpoint: str, resume: bool, eval_only: bool
) -> Beginning:
    if eval_only and not init_checkpoint:
        raise FileNotFoundError(
            f"there is no checkpoint in '{output_dir}' to evaluate: pass "
            "train.init_checkpoint=FILE, or train first"
        )
    if resume:
        found = sorted(Path(output_dir).glob("model_[f0-9]*.pth"))  # but for model_best.pth
        if found:
            raise FileNotFoundError(
                f"--resume: '{output_dir}' holds '{found[-1].name}', but no file 'last_checkpoint' "
                "that names a checkpoint: write the name of one into it, or move them away"
            )
        does = "evaluation takes" if eval_only else "training starts from"
        begins = f"'{init_checkpoint}'" if init_checkpoint else "the beginning"
        logger.warning("--resume: no checkpoint is in '%s': %s %s", output_dir, does, begins)
    if init_checkpoint:
        read_checkpoint(PathManager.get_local_path(init_checkpoint))  # before hours of mining
    return Beginning(init_checkpoint, False)


def _require_same(path: str) -> None:
    """See that all processes read the same bytes at a path."""
    try:
        with open(PathManager.get_local_path(path), "rb") as file:
            digest = hashlib.blake2b(digest_size=8)
            while block := file.read(1 << 20):
                digest.update(block)
            found = f"{os.fstat(file.fileno()).st_size} bytes, {digest.hexdigest()}"
    except OSError as error:
        found = str(error)
    everyones = comm.all_gather(found)
    for rank, theirs in enumerate(everyones):
        if theirs != everyones[0]:
            raise CheckpointError(
                f"processes do not read the same checkpoint '{path}': process 0 finds "
                f"{everyones[0]}; process {rank}: {theirs}. Let train.output_dir and "
                "train.init_checkpoint be on a drive that all machines share"
            )


def _last_whole(last: Path, max_iter: int) -> tuple[str, dict[str, Any]]:
    """The checkpoint itself, or where it is damaged, the latest whole one before it."""
    faults = []
    for path in (last, *reversed(_before(last, max_iter))):
        try:
            return str(path), read_checkpoint(path)
        except CheckpointError as error:
            logger.warning("%s; the checkpoint before it is used", error)
            faults.append(str(error))
    raise CheckpointError(
        f"no checkpoint in '{last.parent}' is whole: {'; '.join(faults)}. Train anew without "
        "--resume, or pass train.init_checkpoint=FILE"
    )


def _before(last: Path, max_iter: int) -> list[Path]:
    """Checkpoints of the same run before one, as far as can be known, in their order."""
    numbered, number = _numbered(last.parent), _number(last)
    if number is not None:
        return [path for k, path in numbered.items() if k < number]
    # The final one: numbers may be of an earlier, longer run, whose files are older.
    times = {path: path.stat().st_mtime_ns for k, path in numbered.items() if k < max_iter}
    end = last.stat().st_mtime_ns if last.exists() else max(times.values(), default=0)
    return sorted((path for path in times if times[path] <= end), key=times.__getitem__)


def _numbered(folder: Path) -> dict[int, Path]:
    """Checkpoints of a run by their iteration, in this order."""
    paths = {_number(path): path for path in folder.glob("model_*.pth")}
    return {number: paths[number] for number in sorted(k for k in paths if k is not None)}


def _number(path: Path) -> int | None:
    found = re.fullmatch(r"model_(\d+)\.pth", path.name)
    return int(found[1]) if found else None


def _leaves(node: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values; positions in lists are keys too, empty containers values."""
    if not isinstance(node, dict | list) or not node:
        yield key, node
        return
    for name, child in node.items() if isinstance(node, dict) else enumerate(node):
        yield from _leaves(child, f"{key}.{name}" if key else str(name))


def _listed(changes: Mapping[str, _Change]) -> str:
    return ", ".join(f"{key} {change.old!r} -> {change.new!r}" for key, change in changes.items())


def _with_names(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings in which the name of one data set is a list, which means the same."""
    is_name = isinstance(settings.get(_NAMES), str)
    return {f"{k}.0" if k == _NAMES and is_name else k: value for k, value in settings.items()}


def _is_added(key: str, lacking: Mapping[str, Any]) -> bool:
    """Whether a key is a new option to settings; not if a list grew or a value became a group."""
    groups = {g for known in lacking for g in accumulate(known.split("."), "{}.{}".format)}
    groups -= lacking.keys()
    prefixes = list(accumulate(key.split("."), "{}.{}".format))
    first_new = next((prefix for prefix in prefixes if prefix not in groups), key)
    is_position = first_new.rpartition(".")[2].isdigit()
    return not is_position and first_new not in groups and first_new not in lacking


def _same(key: str, one: Any, other: Any) -> bool:
    if key == _IMAGES:
        return same_images(one, other)
    if key == "model.backbone.tower.name":  # may be a file, which has the same name elsewhere
        return Path(str(one)).name == Path(str(other)).name
    if key.endswith("_target_") and isinstance(one, str) and isinstance(other, str):
        # A class may have moved in its package, and a config in YAML has its shortest path.
        return all(one.split(".")[k] == other.split(".")[k] for k in (0, -1))
    return bool(one == other)


def _sources(settings: Mapping[str, Any]) -> list[str]:
    return [name for key, name in settings.items() if _is_one_of(key, (_NAMES,))]


def _images(settings: Mapping[str, Any]) -> int | None:
    """Number of images that an iteration takes."""
    return settings[_BATCH] * settings[_PARTS] if {_BATCH, _PARTS} <= settings.keys() else None


def _is_one_of(key: str, names: tuple[str, ...]) -> bool:
    return any(key == name or key.startswith(f"{name}.") for name in names)

"""Checkpoints, written atomically: which one a run begins with, and that it fits."""

import hashlib
import logging
import os
import re
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.engine import hooks
from detectron2.utils import comm
from detectron2.utils.file_io import PathManager
from torch import nn

from ..modeling.checkpoint_files import CheckpointError, read_checkpoint
from ..modeling.state_dicts import shortened, without_prefix
from ..structures import LabelSpace
from ..utils.distributed import of_main_process
from ..utils.errors import LangDGError
from ..utils.file_io import remove_unfinished, replacing, write_atomically
from .resuming import RunSettings

logger = logging.getLogger(__name__)


class StrictCheckpointer(DetectionCheckpointer):
    """Detectron2's checkpointer, but a checkpoint with other weights than the model's is an error.

    It reads no pickle beyond tensors and plain values, which Detectron2 does for `.pkl`, and
    nothing damaged. Writing is atomic, whatever interrupts it. It keeps the
    model's classes, where it has some. `same_classes` refuses files of classes with other names.

    Attributes:
        classes: those of the file loaded last; None where it does not tell.
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
            path: of `starting_checkpoint`; "" loads nothing.
            resume: go on with the run that the file is of, see `starting_checkpoint`.
        """
        self._same_classes &= resume  # training may go on to other classes
        if path:
            self.load(path, checkpointables=None if resume else [])
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
        self._file = filename  # that weights come from, for errors
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


class Beginning(NamedTuple):
    """What a run begins with.

    Attributes:
        checkpoint: file whose weights take the place of CLIP's; "" if training starts from CLIP.
        resumed: the run goes on with the one that the file is of.
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
        LangDGError: see `RunSettings.require_continuation`.
    """

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
            found = f"{os.fstat(file.fileno()).st_size} bytes, {_digest(file)}"
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


def _digest(file: BinaryIO) -> str:
    digest = hashlib.blake2b(digest_size=8)
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


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

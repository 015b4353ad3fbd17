"""Checkpoints that are whole or not there: which one a run begins with, and that it fits."""

import logging
import re
from pathlib import Path
from typing import Any

import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.engine import hooks
from detectron2.utils.file_io import PathManager
from torch import nn

from ..modeling.checkpoint_files import CheckpointError, read_checkpoint
from ..modeling.state_dicts import shortened, without_prefix
from ..structures.files import remove_unfinished, replacing, write_atomically

logger = logging.getLogger(__name__)


class StrictCheckpointer(DetectionCheckpointer):
    """Detectron2's checkpointer, but a checkpoint with other weights than the model's is an error.

    It reads no pickle beyond tensors and plain values, which Detectron2 does for `.pkl`, and
    nothing damaged. What it writes is whole or not there, whatever interrupts it.
    """

    def start(self, path: str, *, resume: bool) -> int:
        """Load what a run begins with; returns its first iteration.

        Args:
            path: of `starting_checkpoint`; "" loads nothing.
            resume: go on with the earlier run, if there is one.

        Raises:
            ValueError: if the earlier run is to go on, but the checkpoint holds its weights alone.
        """
        resumed = resume and self.has_checkpoint()
        if path:
            self.load(path, checkpointables=None if resumed else [])
        if resumed and "trainer" not in self._parts:
            raise ValueError(
                f"checkpoint '{path}' holds weights alone, with which no run can go on: pass it "
                "as train.init_checkpoint, and leave out --resume"
            )
        if self.save_dir and self.save_to_disk:
            remove_unfinished(Path(self.save_dir), "*.pth", "last_checkpoint")
        return self.checkpointables["trainer"].iter + 1 if resumed else 0

    def save(self, name: str, **kwargs: Any) -> None:
        """Write a checkpoint, then say that it is the last.

        Raises:
            OSError: if it cannot be written; earlier checkpoints are then left as they were.
        """
        if not self.save_dir or not self.save_to_disk:
            return
        states = {key: part.state_dict() for key, part in self.checkpointables.items()}
        path = Path(self.save_dir, f"{name}.pth")
        logger.info("Saving the checkpoint '%s'", path)
        try:
            with replacing(path) as file:
                torch.save({"model": self.model.state_dict(), **states, **kwargs}, file)
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
        self._parts = set(checkpoint)
        return checkpoint

    def _load_model(self, checkpoint: Any) -> Any:
        # Before Detectron2 does, which would log a line for every one of them.
        state = self.model.state_dict()
        weights = checkpoint["model"] = without_prefix(checkpoint["model"], state)
        shapes, wanted = ({k: t.shape for k, t in each.items()} for each in (weights, state))
        unfit = sorted({name for name, _ in shapes.items() ^ wanted.items()})
        if unfit:
            raise ValueError(
                f"use the config that the checkpoint was trained with: '{self._file}' does not fit "
                f"the model: {len(unfit)} weights are missing in it, unknown or of another shape "
                f"({shortened(unfit)})"
            )
        return super()._load_model(checkpoint)


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


def starting_checkpoint(
    *, output_dir: str, init_checkpoint: str, max_iter: int, resume: bool, eval_only: bool
) -> str:
    """File whose weights take the place of CLIP's; "" if training starts from CLIP.

    Args:
        output_dir: where an earlier run may have left checkpoints, of which the last counts, or
            the one before where that is damaged.
        init_checkpoint: file named in the config, or "".
        max_iter: of the run; what an earlier, longer one has left there is not used.
        resume: go on with the earlier run, if there is one.
        eval_only: evaluate the named file, or else the earlier run's last checkpoint.

    Raises:
        FileNotFoundError: if the named file does not exist, or there is nothing to evaluate.
        CheckpointError: if the file is damaged, or all of the earlier run are.
    """
    if init_checkpoint and not PathManager.isfile(init_checkpoint):
        raise FileNotFoundError(f"train.init_checkpoint '{init_checkpoint}' does not exist")
    earlier = DetectionCheckpointer(nn.Module(), output_dir)
    wanted = resume or (eval_only and not init_checkpoint)
    if wanted and earlier.has_checkpoint():
        return str(_last_whole(Path(earlier.get_checkpoint_file()), max_iter))
    if eval_only and not init_checkpoint:
        raise FileNotFoundError(
            f"there is no checkpoint in '{output_dir}' to evaluate: pass "
            "train.init_checkpoint=FILE, or train first"
        )
    if init_checkpoint:
        read_checkpoint(PathManager.get_local_path(init_checkpoint))  # before hours of mining
    return init_checkpoint


def _last_whole(last: Path, max_iter: int) -> Path:
    """The checkpoint itself, or where it is damaged, the latest whole one before it."""
    faults = []
    for path in (last, *reversed(_before(last, max_iter))):
        try:
            read_checkpoint(path)
        except CheckpointError as error:
            logger.warning("%s; the checkpoint before it is used", error)
            faults.append(str(error))
        else:
            return path
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

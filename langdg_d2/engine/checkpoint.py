"""Checkpoints: atomic writing, strict loading, and the choice of a starting point."""

import io
import logging
import re
from pathlib import Path
from typing import Any, NamedTuple

import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.engine import hooks
from detectron2.utils import comm
from detectron2.utils.file_io import PathManager
from torch import nn

from ..modeling.checkpoint_files import CheckpointError, read_checkpoint, without_prefix
from ..structures import LabelSpace
from ..utils.distributed import of_main_process
from ..utils.errors import LangDGError, require_int, shortened
from ..utils.file_io import content_digest, write_atomically
from .averaging import averaged
from .run_settings import RunSettings

logger = logging.getLogger(__name__)


class StrictCheckpointer(DetectionCheckpointer):
    """Detectron2's checkpointer, but weights that do not match the model raise an error.

    Files are written atomically and read by `read_checkpoint`, which executes nothing and rejects
    damaged files. The classes of the model are saved if it has any.

    Args:
        same_classes: whether to reject checkpoints whose classes differ from the model's.

    Attributes:
        classes: classes of the last loaded checkpoint; None if it has no record of them.
    """

    def __init__(
        self, model: nn.Module, save_dir: str = "", *, same_classes: bool = True, **options: Any
    ) -> None:
        super().__init__(model, save_dir, **options)
        self._same_classes = same_classes
        self.classes: LabelSpace | None = None

    def start(self, path: str, *, resume: bool) -> int:
        """Load the checkpoint that a run starts from.

        Args:
            path: checkpoint, see `find_starting_point`; "" loads nothing.
            resume: whether to restore the full state of the run instead of only the weights.

        Returns:
            The first iteration of the run.
        """
        if path:
            content = self.load(path, checkpointables=None if resume else [])
            if not resume and "settings" in self.checkpointables:
                self.checkpointables["settings"].begin_with(content)
            if difference := self._other_classes():
                logger.warning("%s", difference)
        if self.save_dir and self.save_to_disk:
            for pattern in (".*.pth.*.tmp", ".last_checkpoint.*.tmp"):
                for unfinished in Path(self.save_dir).glob(pattern):  # left by a killed process
                    unfinished.unlink()
        return self.checkpointables["trainer"].iter + 1 if resume else 0

    def save(self, name: str, **kwargs: Any) -> None:
        """Write a checkpoint and mark it as the last one."""
        if self.save_dir and self.save_to_disk:
            self.write(name, **kwargs)
            self.tag_last_checkpoint(f"{name}.pth")

    def write(self, name: str, **kwargs: Any) -> None:
        """Write a checkpoint, with averaged weights if the run has them.

        Runs do not resume from it.
        """
        with averaged(self.checkpointables.get("trainer")):
            states: dict[str, Any] = {"model": self.model.state_dict()}
            if isinstance(classes := getattr(self.model, "classes", None), LabelSpace):
                states["classes"] = classes.plain()
            states |= {key: part.state_dict() for key, part in self.checkpointables.items()}
            file = io.BytesIO()  # torch.save would hide the error of a full disk
            torch.save({**states, **kwargs}, file)
        path = Path(self.save_dir, f"{name}.pth")
        logger.info("Saving the checkpoint '%s'", path)
        write_atomically(path, file.getvalue())

    def tag_last_checkpoint(self, last_filename_basename: str) -> None:
        write_atomically(Path(self.save_dir, "last_checkpoint"), last_filename_basename.encode())

    def _load_file(self, filename: str) -> Any:
        self._file = filename  # for errors
        checkpoint = read_checkpoint(filename)
        classes = checkpoint.get("classes")
        self.classes = LabelSpace(**classes) if classes else None
        return checkpoint

    def _load_model(self, checkpoint: Any) -> Any:
        if self._same_classes and (difference := self._other_classes()):
            raise LangDGError(f"{difference}: use the config it was trained with")
        # Detectron2 strips prefixes as well, but logs a line for every weight.
        state = self.model.state_dict()
        weights = checkpoint["model"] = without_prefix(checkpoint["model"], state)
        shapes, wanted = ({k: t.shape for k, t in each.items()} for each in (weights, state))
        unfit = sorted({name for name, _ in shapes.items() ^ wanted.items()})
        if unfit:
            raise LangDGError(
                f"use the config that the checkpoint was trained with: '{self._file}' does not fit "
                f"the model: {len(unfit)} weights are missing, unexpected or of another shape "
                f"({shortened(unfit)})"
            )
        not_finite = [k for k, t in weights.items() if not t.isfinite().all()]
        if not_finite:
            raise CheckpointError(
                f"'{self._file}' has non-finite values in {shortened(not_finite)}: use an earlier "
                "checkpoint"
            )
        return super()._load_model(checkpoint)

    def _other_classes(self) -> str:
        """Describe how the checkpoint's classes differ from the model's; "" if they are equal."""
        ours, theirs = getattr(self.model, "classes", None), self.classes
        if theirs is None or ours is None or theirs.names == ours.names:
            return ""
        return (
            f"checkpoint '{self._file}' has {len(theirs)} classes ({', '.join(theirs.names)}), "
            f"model.classes of the config {len(ours)} ({', '.join(ours.names)})"
        )


class PeriodicCheckpointer(hooks.PeriodicCheckpointer):
    """Detectron2's hook, but `max_to_keep` also counts checkpoints from before resuming."""

    def before_train(self) -> None:
        super().before_train()
        numbered = _numbered(Path(self.checkpointer.save_dir))
        self.recent_checkpoints = [
            str(path) for number, path in numbered.items() if number < self.trainer.start_iter
        ]


class StartingPoint(NamedTuple):
    """The starting point of a run.

    Attributes:
        checkpoint: file with weights; "" for the weights of CLIP.
        resumed: whether this run resumes the one that wrote the file.
    """

    checkpoint: str
    resumed: bool


def find_starting_point(
    *,
    output_dir: str,
    init_checkpoint: str,
    max_iter: int,
    resume: bool,
    eval_only: bool,
    settings: RunSettings | None = None,
) -> StartingPoint:
    """Find the starting point of a run; the main process decides for all. Collective.

    Args:
        output_dir: output folder. If it has checkpoints of an earlier run, the last undamaged one
            is used.
        init_checkpoint: checkpoint named in the config, or "".
        max_iter: length of the run; later checkpoints of an earlier, longer run are ignored.
        resume: whether to resume an earlier run, if there is one.
        eval_only: whether to evaluate `init_checkpoint`, or the last checkpoint if there is none
            or with `resume`.
        settings: settings of the run, which must be able to continue the earlier run.

    Raises:
        FileNotFoundError: if a required checkpoint does not exist.
        LangDGError: if the earlier run cannot be continued with these settings.
    """
    require_int("train.max_iter", max_iter)

    def decide() -> StartingPoint:
        if init_checkpoint and not PathManager.isfile(init_checkpoint):
            raise FileNotFoundError(f"train.init_checkpoint '{init_checkpoint}' does not exist")
        earlier = DetectionCheckpointer(nn.Module(), output_dir)
        if earlier.has_checkpoint() and (resume or (eval_only and not init_checkpoint)):
            path, content = _last_intact(Path(earlier.get_checkpoint_file()), max_iter)
            resumed = resume and not eval_only
            if resumed and settings:
                settings.require_continuation(path, content)
            if eval_only and init_checkpoint:
                logger.warning(
                    "--eval-only --resume evaluates '%s', not train.init_checkpoint '%s'",
                    *(path, init_checkpoint),
                )
            return StartingPoint(path, resumed)
        return _without_earlier_run(output_dir, init_checkpoint, resume, eval_only)

    start = of_main_process(decide)
    if start.checkpoint and comm.get_world_size() > 1:
        _require_same(start.checkpoint)
    return start


def _without_earlier_run(
    output_dir: str, init_checkpoint: str, resume: bool, eval_only: bool
) -> StartingPoint:
    if eval_only and not init_checkpoint:
        raise FileNotFoundError(
            f"there is no checkpoint in '{output_dir}' to evaluate: pass "
            "train.init_checkpoint=FILE, or train first"
        )
    if resume:
        if found := _numbered(Path(output_dir)):
            raise FileNotFoundError(
                f"--resume: '{output_dir}' has {len(found)} checkpoints, but no file "
                "'last_checkpoint' that names one of them: create it, or move the checkpoints away"
            )
        does = "evaluation uses" if eval_only else "training starts from"
        begins = f"'{init_checkpoint}'" if init_checkpoint else "the beginning"
        logger.warning("--resume: there is no checkpoint in '%s': %s %s", output_dir, does, begins)
    return StartingPoint(init_checkpoint, False)


def _require_same(path: str) -> None:
    """Check that all processes, perhaps on several machines, read the same file."""
    try:
        found = f"content {content_digest(Path(PathManager.get_local_path(path)))}"
    except OSError as error:
        found = str(error)
    everyones = comm.all_gather(found)
    for rank, theirs in enumerate(everyones):
        if theirs != everyones[0]:
            raise CheckpointError(
                f"processes read different files for the checkpoint '{path}': process 0 finds "
                f"{everyones[0]}, process {rank} finds {theirs}. Put train.output_dir and "
                "train.init_checkpoint on storage that all machines share"
            )


def _last_intact(last: Path, max_iter: int) -> tuple[str, dict[str, Any]]:
    """Return path and content of the last checkpoint or, if damaged, of the latest intact one."""
    numbered = _numbered(last.parent).items()
    earlier = [path for number, path in numbered if number < max_iter and path != last]
    faults = []
    for path in (last, *reversed(earlier)):
        try:
            return str(path), read_checkpoint(path)
        except CheckpointError as error:
            logger.warning("%s; using the checkpoint before it", error)
            faults.append(str(error))
    raise CheckpointError(
        f"no readable checkpoint in '{last.parent}': {'; '.join(faults)}. Start over without "
        "--resume, or pass train.init_checkpoint=FILE"
    )


def _numbered(folder: Path) -> dict[int, Path]:
    """Return the numbered checkpoints in a folder, ordered by iteration."""
    names = ((path, re.fullmatch(r"model_(\d+)\.pth", path.name)) for path in folder.iterdir())
    return dict(sorted((int(match[1]), path) for path, match in names if match))

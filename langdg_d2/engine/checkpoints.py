"""Which checkpoint a run begins with, and that it fits."""

from typing import Any

from detectron2.checkpoint import DetectionCheckpointer
from detectron2.utils.file_io import PathManager
from torch import nn

from ..modeling.checkpoint_files import read_checkpoint


class StrictCheckpointer(DetectionCheckpointer):
    """Detectron2's checkpointer, but a checkpoint that leaves weights untouched is an error.

    It reads no pickle beyond tensors and plain values, which Detectron2 does for `.pkl`.
    """

    def start(self, path: str, *, resume: bool) -> int:
        """Load what a run begins with, as `resume_or_load`; returns its first iteration.

        Args:
            path: checkpoint to begin with, "" for none, where there is no earlier run to resume.
            resume: go on with the earlier run, if there is one.
        """
        resumed = resume and self.has_checkpoint()
        self.resume_or_load(path, resume=resume)
        return self.checkpointables["trainer"].iter + 1 if resumed else 0

    def _load_file(self, filename: str) -> Any:
        self._file = filename  # that weights come from, for errors
        return read_checkpoint(filename)

    def _load_model(self, checkpoint: Any) -> Any:
        incompatible = super()._load_model(checkpoint)
        misshapen = (key for key, *_ in incompatible.incorrect_shapes)
        unfit = sorted({*incompatible.missing_keys, *misshapen})
        if unfit:
            raise ValueError(
                f"checkpoint '{self._file}' does not fit the model: {len(unfit)} weights are "
                f"missing in it or have another shape, such as {unfit[:3]}. Use the "
                "config it was trained with"
            )
        return incompatible


def starting_checkpoint(
    *, output_dir: str, init_checkpoint: str, resume: bool, eval_only: bool
) -> str:
    """File whose weights take the place of CLIP's; "" if training starts from CLIP.

    Args:
        output_dir: where an earlier run may have left its last checkpoint.
        init_checkpoint: file named in the config, or "".
        resume: go on with the earlier run, if there is one.
        eval_only: evaluate the named file, or else the earlier run's last checkpoint.

    Raises:
        FileNotFoundError: if the named file does not exist, or there is nothing to evaluate.
    """
    if init_checkpoint and not PathManager.isfile(init_checkpoint):
        raise FileNotFoundError(f"train.init_checkpoint '{init_checkpoint}' does not exist")
    earlier = DetectionCheckpointer(nn.Module(), output_dir)
    last = earlier.get_checkpoint_file() if earlier.has_checkpoint() else ""
    if resume:
        return last or init_checkpoint
    if not eval_only:
        return init_checkpoint
    if not (init_checkpoint or last):
        raise FileNotFoundError(
            f"there is no checkpoint in '{output_dir}' to evaluate: pass "
            "train.init_checkpoint=FILE, or train first"
        )
    return init_checkpoint or last

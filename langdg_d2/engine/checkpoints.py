"""Which checkpoint a run begins with."""

from detectron2.checkpoint import DetectionCheckpointer
from torch import nn


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
        FileNotFoundError: if there is nothing to evaluate.
    """
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

"""The mean of a run's last checkpoints, which varies less than the last one alone."""

from pathlib import Path

import torch

from langdg_d2.modeling.checkpoint_files import write_weights
from langdg_d2.utils.errors import LangDGError

AVERAGED = "averaged.pth"


def periodic_checkpoints(folder: Path) -> list[Path]:
    """Checkpoints that training left on its way, the latest last."""
    return sorted(folder.glob("model_[0-9]*.pth"))


def average_checkpoints(files: list[Path], target: Path) -> None:
    """Write the mean of the weights of checkpoints; whole numbers are those of the last.

    Args:
        files: of one run, the latest last.
        target: file to write, which holds weights only; appears whole or not at all.

    Raises:
        LangDGError: if there is no file.
    """
    if not files:
        raise LangDGError(f"no checkpoint to average for '{target}'")
    states = [torch.load(file, map_location="cpu", weights_only=True)["model"] for file in files]
    mean = {
        name: torch.stack([state[name].double() for state in states]).mean(0).to(last.dtype)
        if last.is_floating_point()
        else last
        for name, last in states[-1].items()
    }
    write_weights(target, mean, entry="model")

"""fvcore's checkpointer, made safe for several processes and for files from elsewhere."""

from typing import Any

import torch
from detectron2.utils import comm
from detectron2.utils.file_io import PathManager
from fvcore.common.checkpoint import Checkpointer, PeriodicCheckpointer
from torch import nn

__all__ = ["Checkpointer", "DetectionCheckpointer", "PeriodicCheckpointer"]


class DetectionCheckpointer(Checkpointer):
    """Saves from the main process, loads files of tensors and plain values."""

    def __init__(
        self,
        model: nn.Module,
        save_dir: str = "",
        *,
        save_to_disk: bool | None = None,
        **checkpointables: Any,
    ) -> None:
        if save_to_disk is None:
            save_to_disk = comm.is_main_process()
        super().__init__(model, save_dir, save_to_disk=save_to_disk, **checkpointables)
        self.path_manager = PathManager

    def _load_file(self, f: str) -> dict[str, Any]:
        if f.endswith((".pkl", ".pyth")):
            raise ValueError(f"{f}: only the real Detectron2 reads the files of its model zoo")
        loaded = torch.load(f, map_location="cpu", weights_only=True)
        return loaded if "model" in loaded else {"model": loaded}  # a bare state dict

    def _load_model(self, checkpoint: dict[str, Any]) -> Any:
        incompatible = super()._load_model(checkpoint)
        # Older files lack the image statistics, which the model's constructor sets.
        buffers = {name for name, _ in self.model.named_buffers(recurse=False)}
        known = buffers & {"pixel_mean", "pixel_std"}
        missing = [name for name in incompatible.missing_keys if name not in known]
        incompatible.missing_keys[:] = missing
        return incompatible

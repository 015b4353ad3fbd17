"""fvcore's checkpointer, made safe to use in many processes and on files from elsewhere."""

import contextlib
from typing import Any
from urllib.parse import urlparse

import torch
from detectron2.utils import comm
from detectron2.utils.file_io import PathManager
from fvcore.common.checkpoint import Checkpointer
from torch import nn


class DetectionCheckpointer(Checkpointer):
    """Saves from the main process only, loads ``.pth`` files of tensors and plain values."""

    def __init__(
        self,
        model: nn.Module,
        save_dir: str = "",
        *,
        save_to_disk: bool | None = None,
        **checkpointables: Any,
    ) -> None:
        """
        Args:
            save_to_disk: by default true in the main process alone.
            checkpointables: whatever else has ``state_dict`` and ``load_state_dict``.
        """
        if save_to_disk is None:
            save_to_disk = comm.is_main_process()
        super().__init__(model, save_dir, save_to_disk=save_to_disk, **checkpointables)
        self.path_manager = PathManager

    def load(self, path: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Load the model, and the checkpointables that the file holds.

        Args:
            path: a file or an address; "" or None loads nothing.
            checkpointables: names of those to load, by default all.

        Returns:
            what else the file holds.

        Raises:
            ValueError: for a file that the stand-in cannot read, saying why.
            pickle.UnpicklingError: if the file holds other objects than tensors and plain values.
        """
        query = urlparse(path).query if path else ""
        if query:
            raise ValueError(
                f"{path} asks for {query!r} at loading; this stand-in has no such options. Give "
                "the plain path, or install the real Detectron2."
            )
        return super().load(path, *args, **kwargs)

    def _load_file(self, f: str) -> dict[str, Any]:
        if f.endswith((".pkl", ".pyth")):
            raise ValueError(
                f"{f} is a checkpoint of the model zoos that only the real Detectron2 can "
                "convert; this stand-in reads .pth files."
            )
        loaded = torch.load(f, map_location="cpu", weights_only=True)
        return loaded if "model" in loaded else {"model": loaded}  # a bare state dict

    def _load_model(self, checkpoint: dict[str, Any]) -> Any:
        incompatible = super()._load_model(checkpoint)
        # The model's constructor sets these two buffers, and older files lack them.
        for name, _ in self.model.named_buffers(recurse=False):
            if name in ("pixel_mean", "pixel_std"):
                with contextlib.suppress(ValueError):
                    incompatible.missing_keys.remove(name)
        return incompatible

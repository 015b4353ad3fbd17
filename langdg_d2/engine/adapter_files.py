"""Files of trained adapters: what training has changed, without the frozen tower.

The safetensors file holds everything except the frozen tower, which the header names.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..modeling.checkpoint_files import CheckpointError, fingerprint
from ..utils.errors import LangDGError, shortened
from ..utils.provenance import versions
from .pretrained import read_described, write_described

ADAPTER = "adapter.safetensors"
_ENTRY = "langdg_d2.adapter"  # of the file's metadata


def save_adapter(
    path: str | Path,
    model: nn.Module,
    *,
    tower: Mapping[str, Any],
    notes: Mapping[str, Any] | None = None,
) -> None:
    """Write all of a model but its frozen parameters, atomically.

    Args:
        path: file to create or replace, usually `adapter.safetensors`.
        model: with an adapter; everything that trains, and all buffers, are written.
        tower: `name` and `weights` of the tower, as in a config.
        notes: plain data about the training, for readers.
    """
    frozen = _frozen(model)
    if not frozen:
        raise LangDGError(
            "no parameter of the model is frozen, expected a frozen tower with an adapter: write "
            "the whole model with save_pretrained"
        )
    state = {
        name: value.detach().cpu().contiguous()
        for name, value in model.state_dict().items()
        if name not in frozen
    }
    header = {
        "tower": {"name": tower["name"], "weights": tower["weights"]},
        "frozen": fingerprint(frozen),
        "notes": dict(notes or {}),
        "versions": versions(),
    }
    write_described(path, state, header, entry=_ENTRY)


def load_adapter(path: str | Path, model: nn.Module) -> dict[str, Any]:
    """Load what `save_adapter` wrote into a model with the same tower, adapter and head.

    Returns:
        The file's header.

    Raises:
        CheckpointError: if the file is damaged or of another kind, or belongs to another model or
            tower; names that tower.
    """
    header, state = read_described(
        path, entry=_ENTRY, otherwise="is not an adapter, or one of a later version"
    )
    tower = header["tower"]
    belongs = (
        f"'{path}' is an adapter of the tower '{tower['name']}' with the weights "
        f"'{tower['weights']}'"
    )
    frozen = _frozen(model)
    expected = {k: v.shape for k, v in model.state_dict().items() if k not in frozen}
    found = {name: value.shape for name, value in state.items()}
    if unfit := sorted({name for name, _ in expected.items() ^ found.items()}):
        raise CheckpointError(
            f"{belongs} and does not fit the model: {len(unfit)} weights are missing in it, "
            f"unknown or of another shape ({shortened(unfit)}). Use the config of its training"
        )
    if (own := fingerprint(frozen)) != header["frozen"]:
        raise CheckpointError(
            f"{belongs}, whose frozen weights have the fingerprint {header['frozen']}; those of "
            f"the model have {own}. Build the model with that tower and its weights, for the same "
            "size of images"
        )
    model.load_state_dict(state, strict=False)
    return header


def _frozen(model: nn.Module) -> dict[str, Tensor]:
    return {name: p for name, p in model.named_parameters() if not p.requires_grad}

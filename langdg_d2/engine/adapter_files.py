"""Adapter files: the trained parameters and buffers of a model, without its frozen tower.

They are safetensors files, with a description of the model in the header.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..modeling import LangDGSegmentor
from ..modeling.checkpoint_files import CheckpointError, fingerprint
from ..utils.errors import LangDGError, shortened
from .pretrained import Pretrained, build_described, read_described, write_described

ADAPTER = "adapter.safetensors"
_ENTRY = "langdg_d2.adapter"  # key of the header in the file's metadata


def save_adapter(
    path: str | Path, *, model: LangDGSegmentor, header: Mapping[str, Any], weights: str | None
) -> None:
    """Write a model without its frozen parameters, atomically.

    Args:
        path: file to create or replace, usually `adapter.safetensors`.
        model: model with an adapter; its trainable parameters and all buffers are written.
        header: header from `describe_model`.
        weights: weights of the tower as in the config, for error messages.
    """
    frozen = _frozen(model)
    if not frozen:
        raise LangDGError(
            "the model has no frozen parameters, expected a frozen tower with an adapter: write "
            "the whole model with save_pretrained"
        )
    state = {
        name: value.detach().cpu().contiguous()
        for name, value in model.state_dict().items()
        if name not in frozen
    }
    header = {**header, "tower_weights": weights, "frozen": fingerprint(frozen)}
    write_described(path, state, header, entry=_ENTRY)


def load_adapter(path: str | Path, *, weights: str | None) -> Pretrained:
    """Build the model in a file written by `save_adapter`.

    Args:
        path: file to load.
        weights: weights of the frozen tower, a tag or a file as in `model.backbone.tower.weights`
            of a config.

    Raises:
        CheckpointError: if the file is damaged or of another kind, or if the adapter was trained
            with other weights.
    """
    header, state = read_described(
        path, entry=_ENTRY, otherwise="is not an adapter file of this version"
    )
    model = build_described(path, header, weights=weights)
    if (own := fingerprint(_frozen(model))) != header["frozen"]:
        raise CheckpointError(
            f"'{path}' was trained on the tower '{header['model']['backbone']['tower']['name']}' "
            f"with the weights '{header['tower_weights']}' (fingerprint {header['frozen']}); "
            f"'{weights}' has other weights ({own}): pass those it was trained with"
        )
    missing = model.state_dict().keys() - _frozen(model).keys() - state.keys()
    if missing:
        raise CheckpointError(f"'{path}' lacks {len(missing)} weights: {shortened(missing)}")
    model.load_state_dict(state, strict=False)
    return Pretrained(model.eval(), header)


def _frozen(model: nn.Module) -> dict[str, Tensor]:
    return {name: p for name, p in model.named_parameters() if not p.requires_grad}

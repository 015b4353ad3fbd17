"""Files of trained adapters: what training has changed, without the frozen tower.

The safetensors file holds everything except the frozen tower, and a description of the model.
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
_ENTRY = "langdg_d2.adapter"  # of the file's metadata


def save_adapter(
    path: str | Path, *, model: LangDGSegmentor, header: Mapping[str, Any], weights: str | None
) -> None:
    """Write everything except the frozen parameters of a model, atomically.

    Args:
        path: file to create or replace, usually `adapter.safetensors`.
        model: with an adapter; all that trains, and all buffers, are written.
        header: of `describe_model`.
        weights: of the tower, as in the config; errors name them.
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
    header = {**header, "tower_weights": weights, "frozen": fingerprint(frozen)}
    write_described(path, state, header, entry=_ENTRY)


def load_adapter(path: str | Path, *, weights: str | None) -> Pretrained:
    """Build the model of a file that `save_adapter` wrote.

    Args:
        path: the file.
        weights: of the frozen tower, as `model.backbone.tower.weights` of a config: a tag or a
            file.

    Raises:
        CheckpointError: if the file is damaged or of another kind, or if these weights are not
            those that the adapter was trained with.
    """
    header, state = read_described(
        path, entry=_ENTRY, otherwise="is not an adapter, or one of another version"
    )
    model = build_described(path, header, weights=weights)
    if (own := fingerprint(_frozen(model))) != header["frozen"]:
        raise CheckpointError(
            f"'{path}' was trained on the tower '{header['model']['backbone']['tower']['name']}' "
            f"with the weights '{header['tower_weights']}' (fingerprint {header['frozen']}); "
            f"'{weights}' has other weights ({own}): pass those of its training"
        )
    missing = model.state_dict().keys() - _frozen(model).keys() - state.keys()
    if missing:
        raise CheckpointError(f"'{path}' lacks {len(missing)} weights: {shortened(missing)}")
    model.load_state_dict(state, strict=False)
    return Pretrained(model.eval(), header)


def _frozen(model: nn.Module) -> dict[str, Tensor]:
    return {name: p for name, p in model.named_parameters() if not p.requires_grad}

"""Loading of image towers with timm: architectures by name, weights from the hub or a file."""

import logging
from difflib import get_close_matches
from pathlib import Path

import timm
import torch
from torch import nn

from ...utils.errors import LangDGError, shortened
from ..checkpoint_files import find_weights, misfits, read_content

logger = logging.getLogger(__name__)

_PRETRAINED = "pretrained"
_RANDOM_WEIGHTS_SEED = 0


def load_timm_tower(*, name: str, weights: str | None) -> nn.Module:
    """Build an image tower of timm without its classifier and load its weights.

    Weights have their own licences. The weights of DINOv3 are not open: users accept their terms
    when downloading them, and must not redistribute them under other terms.

    Args:
        name: a timm architecture such as `vit_large_patch14_dinov2`, or with the tag of its
            weights, such as `vit_large_patch14_dinov2.lvd142m`, which also sets the trained image
            size.
        weights: "pretrained" (downloaded once and cached); a file that `read_content` reads, whose
            state dict has timm's names and may be nested or prefixed; or None for random weights,
            which are the same at every call.

    Returns:
        The timm model, float32, on the CPU, in eval mode.
    """
    if not timm.is_model(name):  # also refuses names of other repositories and folders
        near = get_close_matches(name.partition(".")[0], timm.list_models(), cutoff=0.5)
        raise LangDGError(f"'{name}' is not an architecture of timm. Nearest: {near}")
    quick = name.replace("_clip_", "_clip_quickgelu_")
    if quick != name and quick in timm.list_pretrained():
        raise LangDGError(
            f"the weights of '{name}' were trained with QuickGELU, which it does not use: name "
            f"'{quick}'"
        )
    pretrained = weights == _PRETRAINED
    with torch.random.fork_rng(devices=()):  # weights are drawn on the CPU
        torch.manual_seed(_RANDOM_WEIGHTS_SEED)
        try:
            tower: nn.Module = timm.create_model(name, pretrained=pretrained, num_classes=0)
        except Exception as error:  # the hub client raises many types, for network and disk
            reason = " ".join(str(error).split())[:200]
            raise LangDGError(
                f"timm could not build '{name}'{' with its weights' if pretrained else ''} "
                f"({type(error).__name__}: {reason}). Its weights are {_tags(name)}; without "
                f"network, download model.safetensors of the repository timm/{name} elsewhere and "
                "pass its path as model.backbone.tower.weights"
            ) from error
    if weights is None:
        logger.info("timm's '%s' has random weights", name)
    elif not pretrained:
        _load_file(tower, Path(weights), name)
    return tower.eval()


def _load_file(tower: nn.Module, path: Path, name: str) -> None:
    if not path.exists():
        raise LangDGError(
            f"weights '{path}' of '{name}' are neither a file nor '{_PRETRAINED}', timm's own"
        )
    state = tower.state_dict()
    try:
        weights = find_weights(read_content(path), state)
    except LangDGError as error:
        raise LangDGError(f"'{path}' cannot be read as weights of '{name}': {error}") from error
    if faults := misfits(weights, state):
        raise LangDGError(
            f"pass the file that belongs to '{name}', or change model.backbone.tower.name: the "
            f"weights in '{path}' do not fit '{name}': {shortened(faults)}"
        )
    tower.load_state_dict(weights, strict=False)


def _tags(name: str) -> list[str]:
    """List the names of an architecture with the tags of its weights."""
    return timm.list_pretrained(f"{name.partition('.')[0]}.*")

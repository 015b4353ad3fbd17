"""CLIP models from open_clip: architectures by name or JSON file, weights by tag or file."""

import logging
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.tokenizer import HFTokenizer, SimpleTokenizer
from open_clip.transformer import QuickGELU
from torch import nn

from ...utils.errors import LangDGError, shortened
from ..checkpoint_files import find_weights, fingerprint, misfits, read_content

logger = logging.getLogger(__name__)

# Suffix of open_clip's models with QuickGELU, which OpenAI's weights need.
_QUICK_GELU = "-quickgelu"

_RANDOM_WEIGHTS_SEED = 0
_NOT_IN_EMBEDDINGS = ("logit_scale", "logit_bias")


class ClipWeightsError(LangDGError):
    """CLIP's architecture or weights cannot be loaded."""


def load_clip(*, name: str, weights: str | None) -> nn.Module:
    """Build a CLIP model and load its weights.

    Args:
        name: an open_clip entry such as `RN50-quickgelu`, or the path of a JSON model config.
        weights: an open_clip tag (downloaded once and cached); a file that `read_content` reads,
            whose state dict may be nested or prefixed; or None for random weights, which are the
            same at every call.

    Returns:
        The open_clip model, float32, on the CPU, in eval mode. If weights were loaded, its image
        tower has the attribute `whole_clip_fingerprint`, which style banks record.
    """
    return _load(name=name, weights=weights, text=True)


def _load(*, name: str, weights: str | None, text: bool) -> nn.Module:
    """Load a CLIP; without `text`, the weights of the image tower suffice."""
    name = _register_architecture(name)
    with torch.random.fork_rng(devices=()):  # weights are drawn on the CPU
        torch.manual_seed(_RANDOM_WEIGHTS_SEED)
        disabled = logging.root.manager.disable
        logging.disable(
            logging.WARNING
        )  # open_clip warns about random weights, which are replaced below
        try:
            model = open_clip.create_model(name, load_weights=False)
        except TypeError as error:
            raise ClipWeightsError(
                f"open_clip cannot build '{name}': {error}; expected the keys of open_clip's "
                "RN50.json"
            ) from error
        finally:
            logging.disable(disabled)
    if weights is None:
        logger.info("CLIP '%s' has random weights", name)
    else:
        _load_weights(model, _weights_path(name, weights), name, text)
    return model.eval()


def load_image_tower(*, name: str, weights: str | None) -> nn.Module:
    """Load the image tower of a CLIP; a file with the image tower alone suffices."""
    clip: Any = _load(name=name, weights=weights, text=False)
    return clip.visual


def load_tokenizer(*, name: str) -> SimpleTokenizer | HFTokenizer:
    """Load the tokenizer of `load_clip(name=name, ...)`."""
    return open_clip.get_tokenizer(_register_architecture(name))


def _register_architecture(name: str) -> str:
    """Register a JSON model config with open_clip; returns the architecture's name."""
    if name.endswith(".json"):
        path = Path(name)
        if not path.is_file():
            raise ClipWeightsError(f"CLIP model config '{name}' does not exist")
        open_clip.add_model_config(path)
        name = path.stem
    if name not in open_clip.list_models():
        raise ClipWeightsError(
            f"'{name}' is neither an open_clip architecture nor a .json model config; "
            f"ResNets of open_clip: {[n for n in open_clip.list_models() if n.startswith('RN')]}"
        )
    return name


def _weights_path(name: str, weights: str) -> Path:
    """Return the file of a tag, downloaded if needed, or of a path."""
    if Path(weights).exists():
        config = open_clip.get_model_config(name)
        # Towers of timm have their own activation and no OpenAI weights.
        if not (config.get("quick_gelu") or "timm_model_name" in config["vision_cfg"]):
            listed = f"{name}{_QUICK_GELU}" in open_clip.list_models()
            logger.warning(
                "CLIP '%s' has no QuickGELU: if the weights in '%s' are OpenAI's, its text "
                "embeddings differ from theirs; use %s for them",
                *(name, weights),
                f"'{name}{_QUICK_GELU}'" if listed else '"quick_gelu": true in its JSON',
            )
        return Path(weights)
    tag_config = open_clip.get_pretrained_cfg(name, weights)
    if not tag_config:
        raise ClipWeightsError(
            f"CLIP weights '{weights}' are neither a file nor a tag of '{name}'; tags: "
            f"{open_clip.list_pretrained_tags_by_model(name)}. Pass the path of a .pt or "
            ".safetensors file"
        )
    if tag_config.get("quick_gelu") and not open_clip.get_model_config(name).get("quick_gelu"):
        # open_clip only warns, and its text embeddings are then wrong.
        raise ClipWeightsError(
            f"CLIP weights '{weights}' were trained with QuickGELU, but '{name}' does not use "
            f"it; use '{name}{_QUICK_GELU}'"
        )
    try:
        return Path(open_clip.download_pretrained(tag_config))
    except Exception as error:  # the hub client raises many types, for network, 404 and disk
        raise ClipWeightsError(
            f"could not download the '{weights}' weights of '{name}' from {tag_config['hf_hub']} "
            f"({type(error).__name__}). Without network, or where HF_HUB_OFFLINE forbids it, "
            "download open_clip_model.safetensors of that repository (or OpenAI's .pt) elsewhere "
            "and pass its path as model.backbone.tower.weights"
        ) from error


def _load_weights(model: nn.Module, path: Path, name: str, text: bool) -> None:
    visual: Any = model.visual
    try:
        content = read_content(path)
        if isinstance(content, dict) and "settings" in content:
            raise LangDGError(
                "it is a training checkpoint: pass it as train.init_checkpoint, and pass the CLIP "
                "that the training started from here"
            )
        weights = find_weights(content, model.state_dict())
        faults = misfits(weights, model.state_dict())
        if not faults:
            model.load_state_dict(weights, strict=False)  # OpenAI's archives have extra scalars
            visual.whole_clip_fingerprint = _embeddings_fingerprint(model)
            return
        tower = find_weights(content, visual.state_dict())
    except LangDGError as error:
        raise ClipWeightsError(f"'{path}' cannot be read as CLIP weights: {error}") from error
    if tower_faults := misfits(tower, visual.state_dict()):
        raise ClipWeightsError(
            f"pass the file that belongs to '{name}', or change model.backbone.tower.name: the "
            f"weights in '{path}' do not fit '{name}': "
            f"{shortened(faults if weights else tower_faults)}"
        )
    if text:
        raise ClipWeightsError(
            f"mining also needs CLIP's text tower, which '{path}' lacks: pass the complete CLIP "
            f"'{name}' as model.backbone.tower.weights ({shortened(faults)})"
        )
    visual.load_state_dict(tower, strict=False)


def _embeddings_fingerprint(model: nn.Module) -> str:
    """Compute the fingerprint of everything that affects a CLIP's embeddings."""
    state = {k: v for k, v in model.state_dict().items() if k not in _NOT_IN_EMBEDDINGS}
    # The same weights give other embeddings with another activation or number of heads.
    state["quick_gelu"] = torch.tensor(any(isinstance(m, QuickGELU) for m in model.modules()))
    heads = [m.num_heads for m in model.modules() if hasattr(m, "num_heads")]
    return fingerprint({**state, "heads": torch.tensor(heads)})

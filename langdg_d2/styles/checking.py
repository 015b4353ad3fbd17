"""Whether a style bank belongs to a model: its styles live in the features of one CLIP layer."""

import logging
from itertools import chain

from torch import nn

from ..modeling import ClipResNet
from ..modeling.backbone.fingerprint import clip_fingerprint
from ..modeling.backbone.freezing import layer_groups
from ..modeling.backbone.layers import LAYERS
from .bank import StyleBank

logger = logging.getLogger(__name__)


def feature_fingerprint(backbone: ClipResNet) -> str:
    """Fingerprint of the weights that make the restyled features: those up to that layer.

    Later layers do not matter to the bank, and training changes some of them.
    """
    state = {
        f"{name}.{k}.{key}": value
        for name, modules in _groups_up_to_restyled(backbone).items()
        for k, module in enumerate(modules)
        for key, value in module.state_dict().items()
    }
    return clip_fingerprint(state)


def check_bank(bank: StyleBank, backbone: ClipResNet) -> None:
    """Check that a bank was mined in the features that a backbone restyles.

    The weights are compared only while they are CLIP's own, that is frozen; those that made the
    texts' embeddings only where CLIP's weights were loaded and not a checkpoint's.

    Raises:
        StyleBankError: lists every difference and what to do.
    """
    modules = chain.from_iterable(_groups_up_to_restyled(backbone).values())
    frozen = not any(p.requires_grad for module in modules for p in module.parameters())
    whole = whole_clip_fingerprint(backbone)
    if whole is not None and bank.header.whole_clip_fingerprint is None:
        logger.info(
            "the style bank does not say which text tower it was mined with, as those of earlier "
            "versions and of the official release: whether it is this CLIP's is not checked"
        )
    bank.check(
        layer=backbone.restyled_layer,
        channels=backbone.restyled_channels,
        clip_fingerprint=feature_fingerprint(backbone) if frozen else None,
        whole_clip_fingerprint=whole,
    )


def whole_clip_fingerprint(backbone: ClipResNet) -> str | None:
    """What `load_clip` has noted at the tower; None where it loaded no weights."""
    return getattr(backbone.tower, "whole_clip_fingerprint", None)


def _groups_up_to_restyled(backbone: ClipResNet) -> dict[str, list[nn.Module]]:
    layers = LAYERS[: LAYERS.index(backbone.restyled_layer) + 1]
    groups = layer_groups(backbone.tower)
    return {name: group for name, group in groups.items() if name.partition(".")[0] in layers}

"""Weights under the names of the official FAMix release, and back.

Both networks are the same; only the names of their parts differ.
"""

from collections.abc import Mapping

from torch import Tensor

from ..utils.errors import shortened
from .checkpoint_files import CheckpointError, misfits, without_prefix

# Official prefix by ours. The official pyramid is one list: local, three rates, image mean.
_PARTS = {
    "backbone.tower.": "backbone.",
    "sem_seg_head.project.": "classifier.project.",
    "sem_seg_head.aspp.local.": "classifier.aspp.convs.0.",
    "sem_seg_head.aspp.atrous.0.": "classifier.aspp.convs.1.",
    "sem_seg_head.aspp.atrous.1.": "classifier.aspp.convs.2.",
    "sem_seg_head.aspp.atrous.2.": "classifier.aspp.convs.3.",
    "sem_seg_head.aspp.image_pool.": "classifier.aspp.convs.4.",
    "sem_seg_head.aspp.project.": "classifier.aspp.project.",
    "sem_seg_head.fuse.0.": "classifier.classifier.0.",
    "sem_seg_head.fuse.1.": "classifier.classifier.1.",
    "sem_seg_head.predict.": "classifier.classifier.3.",
}
_ATTENTION_POOL = "attnpool"  # CLIP's, which neither network uses


def from_official(
    weights: Mapping[str, Tensor], *, model_state: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Official weights under the names that they have in our model; the same tensors.

    Args:
        weights: `model_state` of an official checkpoint, also with a prefix such as `module.`.
            CLIP's attention pooling, which segmentation does not use, is left out.
        model_state: state dict of our model, for names and shapes; its values do not matter.
    """
    names = _official_names(model_state)
    return _rename(
        without_prefix(weights, set(names.values())),
        names={theirs: ours for ours, theirs in names.items()},
        expected={theirs: model_state[ours] for ours, theirs in names.items()},
    )


def to_official(
    weights: Mapping[str, Tensor], *, model_state: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Weights of our model under their official names; the inverse of `from_official`."""
    return _rename(weights, names=_official_names(model_state), expected=model_state)


def _official_names(model_state: Mapping[str, Tensor]) -> dict[str, str]:
    """Official name by ours."""
    names = {
        ours: official + ours.removeprefix(part)
        for ours in model_state
        for part, official in _PARTS.items()
        if ours.startswith(part)
    }
    if nameless := sorted(set(model_state) - set(names)):
        raise CheckpointError(
            "use a config with the official network's architecture, such as "
            f"configs/langdg_gta5.py: it has no counterpart of {shortened(nameless)}"
        )
    return names


def _rename(
    weights: Mapping[str, Tensor], *, names: Mapping[str, str], expected: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    weights = {k: v for k, v in weights.items() if _ATTENTION_POOL not in k.split(".")}
    if faults := misfits(weights, expected):
        raise CheckpointError(
            "use the config of the network that the weights belong to (RN50 or RN101, number of "
            f"classes): {len(faults)} do not fit the model. {shortened(faults)}"
        )
    return {new: weights[old] for old, new in names.items() if old in weights}

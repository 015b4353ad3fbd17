"""Weights under the names of the official FAMix release, and back.

Both networks are the same; only the names of their parts differ.
"""

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

from ..utils.errors import LangDGError
from .state_dicts import shortened, without_prefix

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


class OfficialWeightsError(LangDGError):
    """Weights do not fit the network; the message names the first few."""


class Converted(NamedTuple):
    """Weights under other names.

    Attributes:
        weights: weights of the network, in its order; the same tensors.
        left_out: old names of CLIP's attention pooling, which segmentation does not use.
    """

    weights: dict[str, Tensor]
    left_out: list[str]


def from_official(weights: Mapping[str, Tensor], *, model_state: Mapping[str, Tensor]) -> Converted:
    """Give official weights the names they have in our model.

    Args:
        weights: `model_state` of an official checkpoint, also with a prefix such as `module.`.
        model_state: state dict of our model, for names and shapes; its values do not matter.

    Raises:
        OfficialWeightsError: weights are missing, unknown or of another shape, or our model is
            not the official network.
    """
    names = _official_names(model_state)
    return _rename(
        without_prefix(weights, set(names.values())),
        names={theirs: ours for ours, theirs in names.items()},
        expected={theirs: model_state[ours] for ours, theirs in names.items()},
    )


def to_official(weights: Mapping[str, Tensor], *, model_state: Mapping[str, Tensor]) -> Converted:
    """Give weights of our model their official names; the inverse of `from_official`.

    Args:
        weights: state dict of our model.
        model_state: as in `from_official`.

    Raises:
        OfficialWeightsError: as `from_official`.
    """
    return _rename(weights, names=_official_names(model_state), expected=model_state)


def _official_names(model_state: Mapping[str, Tensor]) -> dict[str, str]:
    """Official name by ours."""
    names: dict[str, str] = {}
    for ours in model_state:
        for part, official in _PARTS.items():
            if ours.startswith(part):
                names[ours] = official + ours.removeprefix(part)
    if nameless := sorted(set(model_state) - set(names)):
        raise OfficialWeightsError(
            "use a config with the official network's architecture, such as "
            f"configs/langdg_gta5.py: it has no counterpart of {shortened(nameless)}"
        )
    return names


def _rename(
    weights: Mapping[str, Tensor], *, names: Mapping[str, str], expected: Mapping[str, Tensor]
) -> Converted:
    left_out = [name for name in weights if _ATTENTION_POOL in name.split(".")]
    complaints = [f"{name}: missing" for name in names if name not in weights]
    for name, tensor in weights.items():
        if name in names and tensor.shape != expected[name].shape:
            found, wanted = tuple(tensor.shape), tuple(expected[name].shape)
            complaints.append(f"{name}: shape {found}, expected {wanted}")
        elif name not in names and name not in left_out:
            # A deeper network's checkpoint holds all the weights of a shallower one and more.
            complaints.append(f"{name}: unknown")
    if complaints:
        raise OfficialWeightsError(
            "use the config of the network that the weights belong to (RN50 or RN101, number of "
            f"classes): {len(complaints)} do not fit the model. {shortened(complaints)}"
        )
    return Converted({new: weights[old] for old, new in names.items()}, left_out)

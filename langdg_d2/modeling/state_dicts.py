"""Find a model's weights in the content of a file.

Training scripts nest state dicts (`state_dict`, `model_ema`), and wrappers add prefixes to names
(`module.`, `clip.`). Neither is listed here: all names of the model have to be found under one key
and one prefix.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from torch import Tensor

_DEPTH = 2  # levels of nested dicts that are searched
_SHOWN = 3  # names in messages
BATCH_COUNTER = "num_batches_tracked"  # BatchNorm's: no output depends on it, older files lack it


class Weights(NamedTuple):
    """Weights that were found for a model.

    Attributes:
        tensors: the weights by the model's names.
        faults: a line for each weight that is missing, unknown or of another shape; empty if all
            is well.
        place: keys and prefix of the weights in the file.
    """

    tensors: dict[str, Tensor]
    faults: list[str]
    place: str


def find_weights(content: Any, state: Mapping[str, Tensor]) -> Weights | None:
    """The weights of a model in the content of a file; None if there are none.

    Complete weights in several places are a fault. Unknown tensors are ignored, unless they belong
    to a part of the model, as those of a deeper network do.

    Args:
        content: nested dicts with tensors and any other values.
        state: state dict of the model, for names and shapes.
    """
    found = [
        _weights(tensors, prefix, place, state)
        for place, tensors in _places(content, "", _DEPTH)
        for prefix in _prefixes(tensors, state)
    ]
    whole = [weights for weights in found if not weights.faults]
    if len(whole) > 1:
        places = shortened(f"'{weights.place}'" for weights in whole)
        fault = f"{len(whole)} places have all weights ({places}): save one of them alone"
        return whole[0]._replace(faults=[fault])
    return whole[0] if whole else max(found, key=lambda w: len(w.tensors), default=None)


def without_prefix(weights: Mapping[str, Tensor], names: Collection[str]) -> dict[str, Tensor]:
    """Weights without their names' prefix: the one under which most of `names` are found."""
    prefix = max((counts := _prefixes(weights, names)), key=counts.__getitem__, default="")
    return {name.removeprefix(prefix): value for name, value in weights.items()}


def shortened(items: Iterable[str]) -> str:
    """The first few items, and the number of the others."""
    items = list(items)
    more = [f"{len(items) - _SHOWN:,} more"] if len(items) > _SHOWN else []
    return ", ".join([*items[:_SHOWN], *more])


def _places(content: Any, place: str, depth: int) -> Iterator[tuple[str, dict[str, Tensor]]]:
    if not isinstance(content, Mapping):
        return
    named = {name: value for name, value in content.items() if isinstance(name, str)}
    yield place, {name: value for name, value in named.items() if isinstance(value, Tensor)}
    if depth:
        for name, value in named.items():
            yield from _places(value, f"{place}{name}.", depth - 1)


def _prefixes(weights: Iterable[str], names: Collection[str]) -> Counter[str]:
    """Prefixes of known names in the names of weights, and how often each occurs."""
    counts: Counter[str] = Counter()
    for name in weights:
        parts = name.split(".")
        for k in range(len(parts)):
            if ".".join(parts[k:]) in names:
                counts["".join(f"{part}." for part in parts[:k])] += 1
    return counts


def _weights(
    tensors: Mapping[str, Tensor], prefix: str, place: str, state: Mapping[str, Tensor]
) -> Weights:
    own = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    known = {name: own[name] for name in state if name in own}
    parts = {name.partition(".")[0] for name in state}
    faults = [
        f"{name} is missing"
        for name in state
        if name not in own and not name.endswith(BATCH_COUNTER)
    ]
    faults += [
        f"{name} is {_describe(value)} instead of {_describe(state[name])}"
        for name, value in known.items()
        if _describe(value) != _describe(state[name]) and not name.endswith(BATCH_COUNTER)
    ]
    faults += [
        f"{name} is unknown"
        for name in own
        if name not in state and name.partition(".")[0] in parts
    ]
    return Weights(known, faults, place + prefix)


def _describe(weight: Tensor) -> str:
    kind = "" if weight.is_floating_point() else "whole numbers of shape "
    return f"{kind}{tuple(weight.shape)}"

"""Whether runs had one configuration, but for their seeds and the places of their files."""

from typing import Any

from ..utils.provenance import leaves

# Last parts of keys that tell a seed and what hangs on it, or where files are.
_FREE = frozenset({"seed", "number_of_styles", "output_dir", "init_checkpoint", "path"})
# Where the bank is.
_FREE_KEYS = frozenset({"styles.bank", "styles.augmentation.mixer.styles.bank"})
# Not set where a checkpoint holds them.
_CLIP_WEIGHTS = "weights"


def config_difference(one: Any, other: Any) -> tuple[str, Any, Any] | None:
    """The key in which two recorded configurations differ, of several the outermost.

    Seeds and places of files do not count, nor whether CLIP's weights were read anew.

    Args:
        one: configuration as in a benchmark record: plain data, text or None.
        other: the one to compare with it.

    Returns:
        Dotted key ("" for a whole text) and both values, None for one that is not set; or None
        where nothing differs.
    """
    first, second = dict(leaves(one)), dict(leaves(other))
    differing = []
    for key in first | second:
        name = key.rpartition(".")[2]
        values = first.get(key), second.get(key)
        free = name in _FREE or key in _FREE_KEYS or (name == _CLIP_WEIGHTS and None in values)
        if not free and values[0] != values[1]:
            differing.append((key, *values))
    # Other keys may refer to it.
    return min(differing, key=lambda found: found[0].count("."), default=None)

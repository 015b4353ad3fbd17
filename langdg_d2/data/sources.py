"""Source sets, one or several for joint training: names, records, mappers and shares."""

import hashlib
import math
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog, get_detection_dataset_dicts

from ..structures import ENCODINGS
from ..utils.errors import LangDGError
from ..utils.seeding import derived_seed

Example = dict[str, Any]

_AND = " + "
_DIGITS = 16  # hexadecimal digits of a hash: 64 bits
_BLOCK = 256  # least number of positions over which shares are exact up to rounding
_LEAST = 1e-4  # least share; smaller ones would need very long blocks


def as_names(names: str | Sequence[str]) -> list[str]:
    """A list, also of a single name."""
    return [names] if isinstance(names, str) else list(names)


def joined_names(names: str | Sequence[str]) -> str:
    """One name for tables and headers, such as "a + b"."""
    return _AND.join(as_names(names))


def split_names(joined: str) -> list[str]:
    """The inverse of `joined_names`."""
    return joined.split(_AND)


def source_dataset(*, names: str | Sequence[str]) -> list[Example]:
    """Dataset dicts of registered sets one after the other, with `source`, the set's name."""
    names = as_names(names)
    if not names or len({*names}) < len(names):
        raise LangDGError(
            f"dataloader.train.dataset.names are {names}, expected one or more, each once"
        )
    owners: dict[str, str] = {}
    examples = []
    for name in names:
        for record in registered_dicts(name):
            # Splits of one data set may overlap, as "train" and "all" of GTA5 do.
            owner = owners.setdefault(record["file_name"], name)
            if owner != name:
                raise LangDGError(
                    f"dataloader.train.dataset.names are {names}, but '{record['file_name']}' is "
                    f"in both '{owner}' and '{name}': name one of them, or it would count double"
                )
            examples.append(record | {"source": name})
    return examples


def registered_dicts(name: str) -> list[Example]:
    """Dataset dicts of a registered set.

    Those of standard Detectron2 sets, which do not say how their labels are stored, get the
    `stuff_classes` and the `ignore_label` of the set's metadata, if it has them, for
    `encoding_of`.
    """
    if name not in DatasetCatalog.list():
        near = get_close_matches(name, DatasetCatalog.list()) or DatasetCatalog.list()
        raise LangDGError(f"data set '{name}' is not registered, expected one such as {near}")
    metadata = MetadataCatalog.get(name)
    known = {key: metadata.get(key, None) for key in ("stuff_classes", "ignore_label")}
    classes = {key: value for key, value in known.items() if value is not None}
    records = [
        record if "label_encoding" in record else classes | record
        # `filter_empty` would look for boxes, which semantic data sets lack.
        for record in get_detection_dataset_dicts(name, filter_empty=False)
    ]
    for record in records:
        if "stuff_classes" in record:
            record["stuff_classes"] = tuple(record["stuff_classes"])  # hashable
    return records


def images_fingerprint(dataset: Sequence[dict[str, Any]]) -> str:
    """Identifies a data set by its content, independent of where its folders are.

    The number of images and a hash of their file names in order; where there are labels, a hash of
    their names, sizes in bytes and meaning. Sizes of images do not count, since uncompressed copies
    are the same images.
    """
    found = f"{len(dataset)} images, {_digest(_below([x['file_name'] for x in dataset]))}"
    labelled = [x for x in dataset if "sem_seg_file_name" in x]
    if not labelled:
        return found
    labels = [x["sem_seg_file_name"] for x in labelled]
    meanings = sorted({_meaning(x) for x in labelled})
    lines = [*map("{} {}".format, _below(labels), map(_size, labels)), *meanings]
    return f"{found}, labels {_digest(lines)}"


def _below(files: list[str]) -> list[str]:
    """Paths below the folder that all files share."""
    paths = [os.path.abspath(file) for file in files]
    folder = os.path.commonpath([os.path.dirname(path) for path in paths])
    return [path[len(folder) :].lstrip(os.sep).replace(os.sep, "/") for path in paths]


def _meaning(record: Mapping[str, Any]) -> str:
    """The class of each id of a record's label."""
    encoding = record.get("label_encoding", "")
    if isinstance(encoding, str):
        encoding = ENCODINGS.get(encoding)
    if encoding is not None:
        return str(sorted(encoding.raw_to_train.items()))
    return str([record.get(key) for key in ("label_encoding", "stuff_classes", "ignore_label")])


def _size(file: str) -> int | None:
    """Size in bytes; None for a missing file, which is an error when it is read."""
    try:
        return os.stat(file).st_size
    except OSError:
        return None


def _digest(lines: Iterable[str]) -> str:
    # Names need not be UTF-8.
    text = "\n".join(lines).encode(errors="surrogateescape")
    return hashlib.sha256(text).hexdigest()[:_DIGITS]


class SourceMapper:
    """Maps every dataset dict of `source_dataset` with the mapper of its source.

    Args:
        mappers: one for each source, by its name.
    """

    def __init__(self, **mappers: Callable[[Example], Example]) -> None:
        self._mappers = mappers

    def __call__(self, dataset_dict: Example) -> Example:
        source = dataset_dict["source"]
        if source not in self._mappers:
            raise LangDGError(
                f"source '{source}' has no mapper, expected one of {list(self._mappers)}: give it "
                "crops of its own in the config"
            )
        return self._mappers[source](dataset_dict)


class SourceTurns:
    """The source at each position of an endless stream, and how often it came before.

    Both depend on the seed, the weights and the position alone. In a block of positions every
    source has its share, rounded up or down, in random order.

    Args:
        weights: shares of the sources, in proportion.
        sources: names of all sources.
        seed: seed of the orders.
    """

    def __init__(
        self, *, weights: Mapping[str, float], sources: Collection[str], seed: int
    ) -> None:
        if not isinstance(weights, Mapping) or {*weights} != {*sources}:
            example = ",".join(f"{name}:1" for name in sorted(sources))
            raise LangDGError(
                f"dataloader.train.source_weights are {weights}, expected a number for each "
                f"source, such as {{{example}}}; quote it for the shell"
            )
        numbers = [w for w in weights.values() if isinstance(w, (int, float)) and 0 < w < math.inf]
        if len(numbers) < len(weights) or min(numbers) < _LEAST * sum(numbers):
            raise LangDGError(
                f"dataloader.train.source_weights are {weights}, expected positive numbers, each "
                f"at least {_LEAST} of their sum"
            )
        self._names = sorted(weights)  # the order in the config must not matter
        shares = np.array([weights[name] for name in self._names], float)
        shares /= shares.sum()
        self._ends = np.append(shares.cumsum()[:-1], 1)  # of the first 1, 2, ... sources together
        # Long enough for the smallest share to have a place in every block.
        self._size = max(_BLOCK, math.ceil(2 / shares.min()))
        self._seed = seed
        self._block: tuple[int, list[tuple[str, int]]] | None = None  # the latest

    def __getitem__(self, position: int) -> tuple[str, int]:
        """Name of a source, and how many of its images lie before this one."""
        block, place = divmod(position, self._size)
        if self._block is None or self._block[0] != block:
            self._block = block, self._turns(block)
        return self._block[1][place]

    def _turns(self, block: int) -> list[tuple[str, int]]:
        # Images of each source before the block, and up to its end.
        counts = np.diff(np.floor(np.outer([block, block + 1], self._size * self._ends)), prepend=0)
        before, after = counts.astype(int)
        turns = np.repeat(self._names, after - before)
        generator = torch.Generator().manual_seed(derived_seed(self._seed, block, purpose="turns"))
        seen = dict(zip(self._names, before.tolist(), strict=True))
        ordered = []
        for name in turns[torch.randperm(self._size, generator=generator)].tolist():
            ordered.append((name, seen[name]))
            seen[name] += 1
        return ordered

"""One or several sources for training: names, records, mappers and sampling weights."""

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
_BLOCK = 256  # minimum number of positions over which shares are exact up to rounding
_LEAST = 1e-4  # minimum share; smaller shares would need very long blocks


def as_names(names: str | Sequence[str]) -> list[str]:
    """Convert a name or several names to a list."""
    return [names] if isinstance(names, str) else list(names)


def joined_names(names: str | Sequence[str]) -> str:
    """Join names for tables and headers, such as "a + b"."""
    return _AND.join(as_names(names))


def split_names(joined: str) -> list[str]:
    """Invert `joined_names`."""
    return joined.split(_AND)


def source_dataset(*, names: str | Sequence[str]) -> list[Example]:
    """Concatenate the dataset dicts of registered data sets and add `source`, their name."""
    names = as_names(names)
    if not names or len({*names}) < len(names):
        raise LangDGError(
            f"dataloader.train.dataset.names are {names}, expected one or more distinct names"
        )
    owners: dict[str, str] = {}
    examples = []
    for name in names:
        for record in registered_dicts(name):
            # Splits of one data set may overlap, such as "train" and "all" of GTA5.
            owner = owners.setdefault(record["file_name"], name)
            if owner != name:
                raise LangDGError(
                    f"dataloader.train.dataset.names are {names}, but '{record['file_name']}' is "
                    f"in both '{owner}' and '{name}': name one of them, or its images would be "
                    "drawn twice"
                )
            examples.append(record | {"source": name})
    return examples


def registered_dicts(name: str) -> list[Example]:
    """Return the dataset dicts of a registered data set.

    Dicts of standard Detectron2 data sets, which have no `label_encoding`, get the `stuff_classes`
    and the `ignore_label` of the metadata, if present, for `encoding_of`.
    """
    if name not in DatasetCatalog.list():
        near = get_close_matches(name, DatasetCatalog.list()) or DatasetCatalog.list()
        raise LangDGError(f"data set '{name}' is not registered, expected one such as {near}")
    metadata = MetadataCatalog.get(name)
    known = {key: metadata.get(key, None) for key in ("stuff_classes", "ignore_label")}
    classes = {key: value for key, value in known.items() if value is not None}
    records = [
        record if "label_encoding" in record else classes | record
        # `filter_empty` would need boxes, which semantic data sets lack.
        for record in get_detection_dataset_dicts(name, filter_empty=False)
    ]
    for record in records:
        if "stuff_classes" in record:
            record["stuff_classes"] = tuple(record["stuff_classes"])  # hashable
    return records


def images_fingerprint(dataset: Sequence[dict[str, Any]]) -> str:
    """Identify a data set by its content, independent of its location.

    The fingerprint contains the number of images, a hash of their file names in order and, with
    labels, a hash of their names, sizes in bytes and encodings. File sizes of images do not matter,
    because uncompressed copies are the same images.
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
    """Return the paths below the common folder of all files."""
    paths = [os.path.abspath(file) for file in files]
    folder = os.path.commonpath([os.path.dirname(path) for path in paths])
    return [path[len(folder) :].lstrip(os.sep).replace(os.sep, "/") for path in paths]


def _meaning(record: Mapping[str, Any]) -> str:
    """Describe the class of each id in a record's label."""
    encoding = record.get("label_encoding", "")
    if isinstance(encoding, str):
        encoding = ENCODINGS.get(encoding)
    if encoding is not None:
        return str(sorted(encoding.raw_to_train.items()))
    return str([record.get(key) for key in ("label_encoding", "stuff_classes", "ignore_label")])


def _size(file: str) -> int | None:
    """Return the size in bytes; None for a missing file, which is reported when it is read."""
    try:
        return os.stat(file).st_size
    except OSError:
        return None


def _digest(lines: Iterable[str]) -> str:
    # File names need not be UTF-8.
    text = "\n".join(lines).encode(errors="surrogateescape")
    return hashlib.sha256(text).hexdigest()[:_DIGITS]


class SourceMapper:
    """Maps every dataset dict of `source_dataset` with the mapper of its source.

    Args:
        mappers: mapper of each source, by name.
    """

    def __init__(self, **mappers: Callable[[Example], Example]) -> None:
        self._mappers = mappers

    def __call__(self, dataset_dict: Example) -> Example:
        source = dataset_dict["source"]
        if source not in self._mappers:
            raise LangDGError(
                f"source '{source}' has no mapper, expected one of {list(self._mappers)}: define "
                "its crops in the config"
            )
        return self._mappers[source](dataset_dict)


class SourceTurns:
    """The source at each position of an endless stream, and how often it occurred before.

    Both depend only on the seed, the weights and the position. In a block of positions, every
    source has its share, rounded up or down, in random order.

    Args:
        weights: relative shares of the sources.
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
        self._names = sorted(weights)  # independent of the order in the config
        shares = np.array([weights[name] for name in self._names], float)
        shares /= shares.sum()
        self._ends = np.append(shares.cumsum()[:-1], 1)  # cumulative shares
        # Long enough for the smallest share to occur in every block.
        self._size = max(_BLOCK, math.ceil(2 / shares.min()))
        self._seed = seed
        self._block: tuple[int, list[tuple[str, int]]] | None = None  # the current block

    def __getitem__(self, position: int) -> tuple[str, int]:
        """Return the name of a source and the number of its images before this position."""
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

"""Checks whether data sets match the published ones, and whether images occur twice."""

import logging
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
from detectron2.data import DatasetCatalog

from ..data.datasets.builtin import FAMILIES
from ..data.image_io import read_format
from ..data.sources import as_names
from ..engine import RunSettings
from ..utils.distributed import of_main_process

_SPLIT = "_sem_seg_"  # between family and split in registered names
_SAMPLE = 4096  # bytes from the middle and the end, where a PNG has a checksum of its pixels
_FEW = 0.01  # share that may repeat, because published sets have frames of a standing car
_TRAINING = ""
_SPLITS = ("train", "training", "val", "valid", "validation", "test", "testing", "all")
_SPLIT_IN_NAME = re.compile(rf"[_-]?({'|'.join(_SPLITS)})$", re.IGNORECASE)

logger = logging.getLogger(__name__)


def incomplete_sets(names: Mapping[str, str | None], trained: Iterable[str] = ()) -> dict[str, str]:
    """Find and log data sets that differ from the published ones or have repeated images.

    Images are repeated if they were trained on or occur twice. All images are counted, including
    those that a test protocol leaves out. Their sizes are read from the file headers. The main
    process reads the files for all processes.

    Args:
        names: registered name of each domain's data set; None if it is not registered.
        trained: image files of training, if known.

    Returns:
        Text by domain, such as "3 of 500 images, 128x256 instead of 1024x2048", without complete
        and unknown data sets.
    """
    named = {domain: name for domain, name in names.items() if name is not None}

    def find() -> dict[str, tuple[str, dict[str, str]]]:
        files = {domain: _files(name) for domain, name in named.items()}
        return _remarks(named, files, trained)

    found = of_main_process(find)
    for domain, (departed, repeated) in found.items():
        if departed:
            logger.warning(
                "%s is not the published data set, so its scores are not comparable: %s",
                *(domain, departed),
            )
        for remark, example in repeated.items():
            logger.warning("%s: %s, such as '%s'", domain, remark, example)
    return _texts(found)


def incomplete_sources(dataset: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Do the same as `incomplete_sets` for training dataset dicts, by their `source`."""
    files: dict[str, list[str]] = defaultdict(list)
    for record in dataset:
        if "source" in record:
            files[record["source"]].append(record["file_name"])
    found = _texts(of_main_process(lambda: _remarks({name: name for name in files}, files)))
    for name in files:
        family, _, split = name.partition(_SPLIT)
        if family in FAMILIES and "train" in FAMILIES[family].splits and split != "train":
            text = f"split '{split}' instead of 'train'"
            found[name] = "; ".join(filter(None, [text, found.get(name)]))
    _warn_of_sources(found)
    return found


def with_training(
    sets: Mapping[str, str],
    names: Mapping[str, str | None],
    trained: RunSettings,
    *,
    source: Sequence[str] = (),
    progress: tuple[int, int] | None = None,
) -> dict[str, str]:
    """Add remarks on the training to those of `incomplete_sets`, and log them.

    Most remarks concern all domains: sources that differ from the published ones, sources that
    `source` does not name or names wrongly, settings that changed when training was resumed, and
    incomplete training. Domains that are not unseen get a remark of their own.

    Args:
        sets: remarks from `incomplete_sets`.
        names: as for `incomplete_sets`.
        trained: settings of the training, which include the sources of earlier runs.
        source: domains that may have been seen; empty if no source is named.
        progress: completed and total iterations of training, if known.

    Returns:
        Remarks by domain, without domains that have none.
    """
    _warn_of_sources(trained.incomplete)
    seen = {mark for name in trained.sources for mark in _marks(name)}
    general = _other_sources(trained.sources, {d: names.get(d) or d for d in source})
    general += [f"resumed with {change}" for change in trained.changed]
    if progress and progress[0] < progress[1]:
        general.append(f"after {progress[0]} of {progress[1]} iterations")
    if general:
        logger.warning("These are scores of a model %s", "; ".join(general))
    of_sources = [f"trained on {name}: {text}" for name, text in trained.incomplete.items()]
    remarks = {}
    for domain in {**names, **sets}:
        found = [sets[domain]] if domain in sets else []
        # The named source is expected to have been seen.
        name = None if domain in source else names.get(domain)
        if name and _marks(name) & seen:
            logger.warning(
                "%s is not unseen: the model was trained on another split or part of it", domain
            )
            found.append("trained on another part")
        remarks[domain] = "; ".join([*found, *of_sources, *general])
    return {domain: text for domain, text in remarks.items() if text}


def _other_sources(trained: Sequence[str], named: Mapping[str, str]) -> list[str]:
    """Describe how the training sets differ from the named sources, given by domain."""
    if not (trained and named):
        return []
    taken = {name: _marks(name) for name in trained}
    stated = {domain: _marks(name) | _marks(domain) for domain, name in named.items()}
    more = [name for name, marks in taken.items() if not marks & set().union(*stated.values())]
    less = [d for d, marks in stated.items() if not marks & set().union(*taken.values())]
    also = [f"also learnt from {name}" for name in more]
    return also + [f"not trained on {domain}, which evaluation.source names" for domain in less]


def departure(name: str, domain: str, files: Sequence[str]) -> str:
    """Describe how a registered data set differs from the release that a domain is named after.

    Args:
        name: registered name of the data set.
        domain: domain that it is scored as.
        files: images of the data set.

    Returns:
        The difference; "" if there is none or if the data set is unknown.
    """
    releases = {
        family.registered_name(split): (family, split)
        for family in FAMILIES.values()
        for split in family.splits
    }
    if name not in releases:
        return f"{name} in its place" if domain in FAMILIES and name != domain else ""
    family, split = releases[name]
    # Domains are scored on their validation split, or on the only split of some data sets.
    validates = "val" if "val" in family.splits else split
    if domain in FAMILIES and (family.name, split) != (domain, validates):
        return f"{name} in its place"
    return family.departure(split, len(files), [(x, *read_format(x)) for x in files])


def repeated_images(
    scored: Mapping[str, Sequence[str]], trained: Iterable[str] = ()
) -> dict[str, dict[str, str]]:
    """Find images of each domain that occur again in the same domain, in others or in training.

    Files, including links and copies, are compared by samples of their content. Only files of
    equal size are opened.

    Args:
        scored: image files by domain; missing files are skipped.
        trained: image files of training.

    Returns:
        Example files by domain and text, such as "12 of 500 images trained on".
    """
    owned = [(_TRAINING, file) for file in trained]
    owned += [(domain, file) for domain, files in scored.items() for file in files]
    table = pd.DataFrame(owned, columns=["owner", "file"], dtype=object)
    table["size"] = [_size(file) for file in table["file"]]
    of_scored = table.loc[table["owner"] != _TRAINING, "size"]
    # Sizes first, because reading all files of a training set would take minutes.
    shared = table["size"].isin(of_scored) & table["size"].duplicated(keep=False)
    table = table[shared & (table["size"] > 0)]
    pairs = zip(table["file"], table["size"], strict=True)
    table = table.assign(content=[(size, _sample(file, size)) for file, size in pairs])
    by_owner = dict(list(table.groupby("owner")))
    remarks: dict[str, dict[str, str]] = {domain: {} for domain in scored}
    for domain, other in product(scored, sorted(by_owner)):
        if domain not in by_owner:
            continue
        own, total = by_owner[domain], len(scored[domain])
        if other == domain:
            again, text = own[own["content"].duplicated()], "repeat others"
        else:
            again = own[own["content"].isin(by_owner[other]["content"])]
            text = "trained on" if other == _TRAINING else f"also in {other}"
        if len(again) > (_FEW * total if other == domain else 0):
            remarks[domain][f"{len(again)} of {total} images {text}"] = again["file"].iloc[0]
    return remarks


def _remarks(
    named: Mapping[str, str], files: Mapping[str, Sequence[str]], trained: Iterable[str] = ()
) -> dict[str, tuple[str, dict[str, str]]]:
    """Return `departure` and `repeated_images` of registered data sets, by domain."""
    repeated = repeated_images(files, trained)
    return {d: (departure(name, d, files[d]), repeated[d]) for d, name in named.items()}


def _texts(remarks: Mapping[str, tuple[str, dict[str, str]]]) -> dict[str, str]:
    """Join both kinds of remarks into one line by domain, without domains that have none."""
    texts = {d: "; ".join(filter(None, [one, *others])) for d, (one, others) in remarks.items()}
    return {domain: text for domain, text in texts.items() if text}


def _warn_of_sources(incomplete: Mapping[str, str]) -> None:
    for name, text in incomplete.items():
        logger.warning(
            "%s: %s, so scores are not comparable with those of models trained on the published "
            "data set",
            *(name, text),
        )


def _marks(name: str) -> set[str]:
    """Return marks of a registered data set; sets that share one are parts of the same data set.

    The mark of a known data set is its release, such as "acdc" for "acdc_fog_sem_seg_val". Those of
    a custom data set are its name and the folder of its images, without names of splits.
    """
    family, in_form, _ = name.partition(_SPLIT)
    if family in FAMILIES or family == "cityscapes_fine":  # registered by Detectron2
        return {family.partition("_")[0]}  # parts have its name: "acdc_fog", "mapillary_b"
    marks = {family if in_form else _SPLIT_IN_NAME.sub("", name)}
    if folders := [os.path.dirname(os.path.abspath(file)) for file in _files(name)]:
        parts = Path(os.path.commonpath(folders)).parts
        marks.add(os.sep.join(part for part in parts if part.lower() not in _SPLITS))
    return marks


def _files(names: str | Sequence[str]) -> list[str]:
    known = [name for name in as_names(names) if name in DatasetCatalog.list()]
    return [record["file_name"] for name in known for record in DatasetCatalog.get(name)]


def _size(file: str) -> int:
    """Return the size in bytes; 0 for a missing file, which raises an error when it is read."""
    try:
        return os.stat(file).st_size
    except OSError:
        return 0


def _sample(file: str, size: int) -> bytes:
    with open(file, "rb", buffering=0) as opened:
        opened.seek(size // 2)
        middle = opened.read(_SAMPLE)
        opened.seek(max(0, size - _SAMPLE))
        return middle + opened.read(_SAMPLE)

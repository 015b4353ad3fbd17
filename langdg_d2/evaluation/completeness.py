"""Whether a copy of a data set is the published one, and whether images are seen twice."""

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
_FEW = 0.01  # share of a set that may repeat, as published sets have frames of a car that stands
_TRAINING = ""
_SPLITS = ("train", "training", "val", "valid", "validation", "test", "testing", "all")
_SPLIT_IN_NAME = re.compile(rf"[_-]?({'|'.join(_SPLITS)})$", re.IGNORECASE)

logger = logging.getLogger(__name__)


def incomplete_sets(names: Mapping[str, str | None], trained: Iterable[str] = ()) -> dict[str, str]:
    """Domains whose data sets are not what was published, and how they differ; each is logged.

    So are sets with images that were trained on, or that occur twice. Images are counted before a
    test protocol leaves some out, and measured as they are stored, from the files' headers.

    Args:
        names: registered name of each domain's data set; None where it is not registered.
        trained: image files of training, if they are known.

    Returns:
        Text by domain, such as "3 of 500 images, 128x256 instead of 1024x2048", without complete
        and unknown sets. The main process reads the files, for all processes.
    """
    named = {domain: name for domain, name in names.items() if name is not None}
    files = {domain: _files(name) for domain, name in named.items()}
    found = of_main_process(lambda: _remarks(named, files, trained))
    for domain, (departed, repeated) in found.items():
        if departed:
            logger.warning(
                "%s is not the published set, so its figures compare with no others: %s",
                *(domain, departed),
            )
        for remark, example in repeated.items():
            logger.warning("%s: %s, such as '%s'", domain, remark, example)
    return _texts(found)


def incomplete_sources(dataset: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """As `incomplete_sets`, for dataset dicts of training, by their `source`."""
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
    """Add remarks on the model's training to those of `incomplete_sets`; they are logged.

    Most remarks concern every domain: sources that are not what was published or that `source` does
    not name, domains of `source` that are none, settings that changed on resumption, a training
    that has not ended. That a domain is not unseen concerns it alone.

    Args:
        sets: of `incomplete_sets`.
        names: as for `incomplete_sets`.
        trained: of the model's training; it knows the sources of this run and of earlier ones.
        source: domains that need not be unseen; empty if none is named as the source.
        progress: iterations behind the weights, and those of the whole training, if known.
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
        # A domain that is named as the source is expected to be seen.
        name = None if domain in source else names.get(domain)
        if name and _marks(name) & seen:
            logger.warning(
                "%s is not unseen: the model was trained on another split or part of it", domain
            )
            found.append("trained on another part")
        remarks[domain] = "; ".join([*found, *of_sources, *general])
    return {domain: text for domain, text in remarks.items() if text}


def _other_sources(trained: Sequence[str], named: Mapping[str, str]) -> list[str]:
    """How sets trained on differ from the named sources, whose registered names go by domain."""
    if not (trained and named):
        return []
    taken = {name: _marks(name) for name in trained}
    stated = {domain: _marks(name) | _marks(domain) for domain, name in named.items()}
    more = [name for name, marks in taken.items() if not marks & set().union(*stated.values())]
    less = [d for d, marks in stated.items() if not marks & set().union(*taken.values())]
    also = [f"also learnt from {name}" for name in more]
    return also + [f"not trained on {domain}, which evaluation.source names" for domain in less]


def departure(name: str, domain: str, files: Sequence[str]) -> str:
    """How a registered data set differs from the release that a domain is named after.

    Args:
        name: of the data set.
        domain: name it is scored under.
        files: its images.

    Returns:
        "" where it does not differ, or where nothing is known of the data set.
    """
    releases = {
        family.registered_name(split): (family, split)
        for family in FAMILIES.values()
        for split in family.splits
    }
    if name not in releases:
        return f"{name} in its place" if domain in FAMILIES and name != domain else ""
    family, split = releases[name]
    # A domain is scored on its validation split; some sets have a single other one.
    validates = "val" if "val" in family.splits else split
    if domain in FAMILIES and (family.name, split) != (domain, validates):
        return f"{name} in its place"
    return family.departure(split, len(files), [(x, *read_format(x)) for x in files])


def repeated_images(
    scored: Mapping[str, Sequence[str]], trained: Iterable[str] = ()
) -> dict[str, dict[str, str]]:
    """Which images of each domain occur again: in itself, in another one, or in training.

    Links and copies count as well: files are compared by samples of their content. Only files of
    equal size in bytes are opened.

    Args:
        scored: image files by domain; missing ones are skipped.
        trained: image files of training.

    Returns:
        By domain, texts such as "12 of 500 images trained on", each with one of the files.
    """
    owned = [(_TRAINING, file) for file in trained]
    owned += [(domain, file) for domain, files in scored.items() for file in files]
    table = pd.DataFrame(owned, columns=["owner", "file"], dtype=object)
    table["size"] = [_size(file) for file in table["file"]]
    of_scored = table.loc[table["owner"] != _TRAINING, "size"]
    # Sizes first: reading every file of a training set would take minutes.
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
    """`departure` and `repeated_images` of registered sets, by domain."""
    repeated = repeated_images(files, trained)
    return {d: (departure(name, d, files[d]), repeated[d]) for d, name in named.items()}


def _texts(remarks: Mapping[str, tuple[str, dict[str, str]]]) -> dict[str, str]:
    """Both kinds of remarks in one line, where there are any."""
    texts = {d: "; ".join(filter(None, [one, *others])) for d, (one, others) in remarks.items()}
    return {domain: text for domain, text in texts.items() if text}


def _warn_of_sources(incomplete: Mapping[str, str]) -> None:
    for name, text in incomplete.items():
        logger.warning(
            "%s: %s, so figures do not compare with those of models trained on the published set",
            *(name, text),
        )


def _marks(name: str) -> set[str]:
    """What tells that a registered set is part of another: they share one of these.

    The release, "acdc" for "acdc_fog_sem_seg_val"; for sets of the user's own, the name and the
    folder of the images without what names a split.
    """
    family, in_form, _ = name.partition(_SPLIT)
    if family in FAMILIES or family == "cityscapes_fine":  # Detectron2's
        return {family.partition("_")[0]}  # parts are named after it: "acdc_fog", "mapillary_b"
    marks = {family if in_form else _SPLIT_IN_NAME.sub("", name)}
    if folders := [os.path.dirname(os.path.abspath(file)) for file in _files(name)]:
        parts = Path(os.path.commonpath(folders)).parts
        marks.add(os.sep.join(part for part in parts if part.lower() not in _SPLITS))
    return marks


def _files(names: str | Sequence[str]) -> list[str]:
    known = [name for name in as_names(names) if name in DatasetCatalog.list()]
    return [record["file_name"] for name in known for record in DatasetCatalog.get(name)]


def _size(file: str) -> int:
    """Size in bytes; 0 for a missing file, which raises when it is read."""
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

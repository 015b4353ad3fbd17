"""Whether a copy of a data set is the published one, and whether images are seen twice."""

import logging
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from detectron2.data import DatasetCatalog

from ..data.datasets.builtin import FAMILIES
from ..data.image_io import read_format
from ..data.sources import as_names
from ..engine import RunSettings
from ..utils.distributed import of_main_process

_SPLIT = "_sem_seg_"  # between the names of a set and its split, in registered names
_SAMPLE = 4096  # bytes at the middle and at the end, where a PNG has a checksum of its pixels
_FEW = 0.01  # of a published set may be in it twice, such as frames of a car that stands
_TRAINING = ""

logger = logging.getLogger(__name__)


def incomplete_sets(names: Mapping[str, str | None], trained: Iterable[str] = ()) -> dict[str, str]:
    """Domains whose data sets are not what was published, and how they differ; each is logged.

    Sets with images that were trained on, or that are there twice, are included. Images are
    counted as the data set has them, before a test protocol leaves some out, and measured as they
    are stored, from the files' headers.

    Args:
        names: registered name of each domain's data set; None where it is not registered.
        trained: image files of training, if they are known.

    Returns:
        Text by domain, such as "3 of 500 images, 128x256 instead of 1024x2048"; complete sets, and
        those of which nothing is known, are left out. The main process reads the files, for all.
    """
    named = {domain: name for domain, name in names.items() if name is not None}
    found = of_main_process(lambda: _remarks(named, trained))
    for domain, (departed, repeated) in found.items():
        if departed:
            logger.warning(
                "%s is not the published set, so its figures compare with no others: %s",
                *(domain, departed),
            )
        for remark, example in repeated.items():
            logger.warning("%s: %s, such as '%s'", domain, remark, example)
    return _texts(found)


def incomplete_sources(names: Sequence[str]) -> dict[str, str]:
    """As `incomplete_sets`, of the sets to train on.

    Args:
        names: as registered.

    Returns:
        Text by name.
    """
    found = _texts(of_main_process(lambda: _remarks({name: name for name in names})))
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
    """Remarks of `incomplete_sets` and on the model's training; these are logged.

    Remarks on the training concern every domain: sources that are not what was published or that
    `source` does not name, settings that changed on resumption, a training that has not ended. One
    that a domain is not unseen concerns it alone.

    Args:
        sets: of `incomplete_sets`.
        names: as for `incomplete_sets`.
        trained: of the model's training, which knows its sources, now and before.
        source: domains that need not be unseen; empty if none is said to be the source.
        progress: iterations behind the weights, and those of the whole training, if known.
    """
    _warn_of_sources(trained.incomplete)
    seen = {_release(name) for name in trained.sources}
    of_all = [f"trained on {name}: {text}" for name, text in trained.incomplete.items()]
    named = {_release(name) for name in source}
    more = [name for name in trained.sources if source and _release(name) not in named]
    general = [f"also learnt from {name}" for name in more]
    general += [f"resumed with {change}" for change in trained.changed]
    if progress and progress[0] < progress[1]:
        general.append(f"after {progress[0]} of {progress[1]} iterations")
    if general:
        logger.warning("These are scores of a model %s", "; ".join(general))
    remarks = {domain: [sets[domain]] if domain in sets else [] for domain in {**names, **sets}}
    for domain, found in remarks.items():
        name = None if domain in source else names.get(domain)
        if name and _release(name) in seen:
            logger.warning(
                "%s is not unseen: the model was trained on another split or part of it", domain
            )
            found.append("trained on another part")
        found += [*of_all, *general]
    return {domain: "; ".join(found) for domain, found in remarks.items() if found}


def departure(name: str, domain: str) -> str:
    """In what a registered data set differs from the release that a domain is named after.

    Args:
        name: of the data set.
        domain: that it is scored as.

    Returns:
        "" where it does not differ, or where nothing is known of the data set.
    """
    for family in FAMILIES.values():
        for split in family.splits:
            if family.registered_name(split) == name:
                validates = "val" if "val" in family.splits else split
                if domain in FAMILIES and (family.name, split) != (domain, validates):
                    return f"{name} in its place"
                files = _files(name)
                return family.departure(split, len(files), [(x, *read_format(x)) for x in files])
    return f"{name} in its place" if domain in FAMILIES and name != domain else ""


def repeated_images(
    scored: Mapping[str, Sequence[str]], trained: Iterable[str] = ()
) -> dict[str, dict[str, str]]:
    """Which images of each domain are there again: in itself, in another one, or in training.

    Links and copies count as well, by the content of the files. Only files of equal size in bytes
    are opened.

    Args:
        scored: image files by domain; missing ones are passed over.
        trained: image files of training.

    Returns:
        By domain texts such as "12 of 500 images trained on", each with one of the files.
    """
    again: dict[str, dict[str, list[str]]] = {domain: defaultdict(list) for domain in scored}
    for group in _equal_files(scored, trained):
        owners = {domain for domain, _ in group}
        seen: set[str] = set()
        for domain, file in group:
            if domain != _TRAINING:
                for other in owners - {domain} | (seen & {domain}):
                    again[domain][other].append(file)
                seen.add(domain)
    remarks: dict[str, dict[str, str]] = {domain: {} for domain in scored}
    for domain, others in again.items():
        total = len(scored[domain])
        for other, files in sorted(others.items()):
            where = {_TRAINING: "trained on", domain: "repeat others"}
            if other != domain or len(files) > _FEW * total:
                text = where.get(other, f"also in {other}")
                remarks[domain][f"{len(files)} of {total} images {text}"] = files[0]
    return remarks


def _remarks(
    named: Mapping[str, str], trained: Iterable[str] = ()
) -> dict[str, tuple[str, dict[str, str]]]:
    """`departure` and `repeated_images` of registered sets, by domain."""
    repeated = repeated_images({domain: _files(name) for domain, name in named.items()}, trained)
    return {domain: (departure(name, domain), repeated[domain]) for domain, name in named.items()}


def _texts(remarks: Mapping[str, tuple[str, dict[str, str]]]) -> dict[str, str]:
    """Both kinds of remarks in one line, where there are any."""
    texts = {d: "; ".join(filter(None, [one, *others])) for d, (one, others) in remarks.items()}
    return {domain: text for domain, text in texts.items() if text}


def _warn_of_sources(incomplete: Mapping[str, str]) -> None:
    for name, text in incomplete.items():
        logger.warning(
            "%s: %s, so figures compare with none of models that were trained on the published set",
            *(name, text),
        )


def _release(name: str) -> str:
    """What holds the images of a registered set: "acdc" of "acdc_fog_sem_seg_val"."""
    family = name.partition(_SPLIT)[0]
    return family.partition("_")[0] if family in FAMILIES else family


def _files(names: str | Sequence[str]) -> list[str]:
    known = [name for name in as_names(names) if name in DatasetCatalog.list()]
    return [record["file_name"] for name in known for record in DatasetCatalog.get(name)]


def _equal_files(
    scored: Mapping[str, Sequence[str]], trained: Iterable[str]
) -> Iterable[list[tuple[str, str]]]:
    """Files of equal content, each with its domain; some groups are of one file."""
    by_size: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for domain, files in scored.items():
        for file in files:
            by_size[_size(file)].append((domain, file))
    for file in trained:
        if (size := _size(file)) in by_size:
            by_size[size].append((_TRAINING, file))
    by_size.pop(0, None)
    same: dict[tuple[int, bytes], list[tuple[str, str]]] = defaultdict(list)
    for size, found in by_size.items():
        for domain, file in found if len(found) > 1 else ():
            same[size, _sample(file, size)].append((domain, file))
    return same.values()


def _size(file: str) -> int:
    """In bytes; 0 for a missing file, which is named where it is read."""
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

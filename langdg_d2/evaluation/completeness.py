"""Whether a copy of a data set is the published one: its images, their sizes and places."""

import logging
from collections.abc import Iterable, Mapping, Sequence

from detectron2.data import DatasetCatalog

from ..data.datasets.builtin import FAMILIES
from ..data.datasets.family import DatasetFamily
from ..data.image_io import read_format
from ..data.sources import as_names
from ..utils.distributed import of_main_process
from .repeated_images import repeated_images

_SPLIT = "_sem_seg_"  # between the names of a set and its split, in registered names


def incomplete_sets(names: Mapping[str, str | None], trained: Iterable[str] = ()) -> dict[str, str]:
    """Those domains whose data sets are not what was published, and in what; each is logged.

    So are those with images that were trained on, or that are there twice. Images are counted as
    the data set has them, before a test protocol leaves some out, and measured as they are stored,
    from the files' headers.

    Args:
        names: registered name of each domain's data set; None where it is not registered.
        trained: image files of training, if they are known.

    Returns:
        Text by domain, such as "3 of 500 images, 128x256 instead of 1024x2048"; whole sets, and
        those of which nothing is known, are left out. The main process reads the files, for all.

    Raises:
        ImageFileError: if a file is not an image.
    """
    named = {domain: name for domain, name in names.items() if name is not None}
    departures, repeated = of_main_process(
        lambda: (
            {domain: departure(name, domain) for domain, name in named.items()},
            repeated_images({d: _files(name) for d, name in named.items()}, trained),
        )
    )
    logger = logging.getLogger(__name__)
    for domain, text in departures.items():
        if text:
            logger.warning(
                "%s is not the published set, so its figures compare with no others: %s",
                *(domain, text),
            )
        for remark, example in repeated[domain].items():
            logger.warning("%s: %s, such as '%s'", domain, remark, example)
    texts = {d: [*filter(None, [text]), *repeated[d]] for d, text in departures.items()}
    return {domain: "; ".join(parts) for domain, parts in texts.items() if parts}


def incomplete_sources(names: Sequence[str]) -> dict[str, str]:
    """Those sets to train on that are not what was published, and in what; each is logged.

    So are those that repeat images.

    Args:
        names: as registered.

    Returns:
        Text by name, as `incomplete_sets`. The main process reads the files, for all.

    Raises:
        ImageFileError: if a file is not an image.
    """

    def remarks() -> dict[str, str]:
        repeated = repeated_images({name: _files(name) for name in names})
        return {
            name: "; ".join(filter(None, [departure(name, name), *repeated[name]]))
            for name in names
        }

    found = {name: text for name, text in of_main_process(remarks).items() if text}
    _warn_of_sources(found)
    return found


def with_training(
    sets: Mapping[str, str],
    names: Mapping[str, str | None],
    trained: Iterable[str],
    incomplete: Mapping[str, str],
    source: Sequence[str] = (),
    progress: tuple[int, int] | None = None,
) -> dict[str, str]:
    """Remarks of `incomplete_sets` and on the model's training; these are logged.

    A source that is not what was published and a training that has not ended concern every domain,
    one that is not unseen concerns itself alone.

    Args:
        sets: of `incomplete_sets`.
        names: as for `incomplete_sets`.
        trained: registered names of sets that the model was trained on, now or before.
        incomplete: of `incomplete_sources`, of these.
        source: domains that need not be unseen.
        progress: iterations behind the weights, and those of the whole training, if known.
    """
    _warn_of_sources(incomplete)
    seen = {_release(name) for name in trained}
    of_all = [f"trained on {name}: {text}" for name, text in incomplete.items()]
    if progress and progress[0] < progress[1]:
        of_all.append(f"after {progress[0]} of {progress[1]} iterations")
        logging.getLogger(__name__).warning("These are scores %s", of_all[-1])
    remarks = {domain: [sets[domain]] if domain in sets else [] for domain in {**names, **sets}}
    for domain, found in remarks.items():
        name = None if domain in source else names.get(domain)
        if name and _release(name) in seen:
            logging.getLogger(__name__).warning(
                "%s is not unseen: the model was trained on another split or part of it", domain
            )
            found.append("trained on another part")
        found += of_all
    return {domain: "; ".join(found) for domain, found in remarks.items() if found}


def _warn_of_sources(incomplete: Mapping[str, str]) -> None:
    for name, text in incomplete.items():
        logging.getLogger(__name__).warning(
            "%s: %s, so figures compare with none of models that were trained on the published set",
            *(name, text),
        )


def _release(name: str) -> str:
    """What holds the images of a registered set: "acdc" of "acdc_fog_sem_seg_val"."""
    family = name.partition(_SPLIT)[0]
    return family.partition("_")[0] if family in FAMILIES else family


def departure(name: str, domain: str) -> str:
    """In what a registered data set differs from the release that a domain is named after.

    Args:
        name: of the data set.
        domain: that it is scored as.

    Returns:
        "" where it does not differ, or where nothing is known of the data set.

    Raises:
        ImageFileError: if a file is not an image.
    """
    for family in FAMILIES.values():
        for split in family.splits:
            if family.registered_name(split) == name:
                validates = "val" if "val" in family.splits else split
                if domain in FAMILIES and (family.name, split) != (domain, validates):
                    return f"{name} in its place"
                return _departure(_files(name), family, split)
    return f"{name} in its place" if domain in FAMILIES and name != domain else ""


def _files(names: str | Sequence[str]) -> list[str]:
    known = [name for name in as_names(names) if name in DatasetCatalog.list()]
    return [record["file_name"] for name in known for record in DatasetCatalog.get(name)]


def _departure(files: list[str], family: DatasetFamily, split: str) -> str:
    published = family.splits[split]
    deviations = family.deviations(split, [(file, *read_format(file)) for file in files])
    count = f"{len(files)} images"
    if published is not None and len(files) != published:
        fewer = len(files) < published
        count = f"{len(files)} {'of' if fewer else 'instead of'} {published} images"
    elif not deviations:
        return ""
    return ", ".join([count, *deviations])

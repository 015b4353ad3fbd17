"""Whether a copy of a data set is the published one: its number of images and their sizes."""

import logging
from collections.abc import Mapping

from detectron2.data import DatasetCatalog

from ..data.datasets.builtin import FAMILIES
from ..data.image_io import read_size
from ..structures.processes import of_main_process


def incomplete_sets(names: Mapping[str, str | None]) -> dict[str, str]:
    """Those domains whose data sets are not what was published, and in what; each is logged.

    Images are counted as the data set has them, before a test protocol leaves some out, and
    measured as they are stored, from the files' headers.

    Args:
        names: registered name of each domain's data set; None where it is not registered.

    Returns:
        Text by domain, such as "3 of 500 images, 128x256 instead of 1024x2048"; whole sets, and
        those of which nothing is known, are left out. The main process reads the files, for all.

    Raises:
        ImageFileError: if a file is not an image.
    """
    named = {domain: name for domain, name in names.items() if name is not None}
    found = of_main_process(
        lambda: {domain: departure(name, domain) for domain, name in named.items()}
    )
    differing = {domain: text for domain, text in found.items() if text}
    for domain, text in differing.items():
        logging.getLogger(__name__).warning(
            "%s is not the published set, so its figures compare with no others: %s", domain, text
        )
    return differing


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
        for split, published in family.splits.items():
            if family.registered_name(split) == name:
                validates = "val" if "val" in family.splits else split
                if domain in FAMILIES and (family.name, split) != (domain, validates):
                    return f"{name} in its place"
                return _departure(name, published, family.sizes)
    return ""


def _departure(name: str, published: int | None, sizes: frozenset[tuple[int, int]] | None) -> str:
    files = [record["file_name"] for record in DatasetCatalog.get(name)]
    count = f"{len(files)} images"
    differs = published is not None and len(files) != published
    if published is not None and differs:
        fewer = len(files) < published
        count = f"{len(files)} {'of' if fewer else 'instead of'} {published} images"
    if sizes is None:
        return count if differs else ""
    others = [size for size in map(read_size, files) if size not in sizes]
    if not others:
        return count if differs else ""
    found = sorted(set(others))
    which = _size(found[0]) if len(found) == 1 else f"sizes such as {_size(found[0])}"
    some = "" if len(others) == len(files) else f"{len(others)} of them "
    return f"{count}, {some}{which} instead of {' or '.join(map(_size, sorted(sizes)))}"


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"

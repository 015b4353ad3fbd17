"""Images that are scored twice, or that a model was trained on, by the content of the files."""

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

_SAMPLE = 4096  # bytes at the middle and at the end, where a PNG has a checksum of its pixels
_FEW = 0.01  # of a published set may be in it twice, such as frames of a car that stands
_TRAINING = ""


def repeated_images(
    scored: Mapping[str, Sequence[str]], trained: Iterable[str] = ()
) -> dict[str, dict[str, str]]:
    """What of each domain is there again: in itself, in another one, or in training.

    Links and copies count as well. Only files of equal size in bytes are opened.

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
    return {
        domain: {
            f"{len(files)} of {len(scored[domain])} images {_where(other, domain)}": files[0]
            for other, files in sorted(others.items())
            if other != domain or len(files) > _FEW * len(scored[domain])
        }
        for domain, others in again.items()
    }


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


def _where(other: str, domain: str) -> str:
    if other == _TRAINING:
        return "trained on"
    return "repeat others" if other == domain else f"also in {other}"


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

"""Looking through a source set for the patches that lie nearest to the styles of a bank."""

from collections.abc import Sequence
from typing import NamedTuple

from torch.utils.data import DataLoader
from tqdm import tqdm

from ...data import SeededBatches
from ...styles import StyleBank, StyleBankError
from .distances import style_points, typical_styles
from .nearest_patches import Example, NearestPatches, Neighbors
from .patch_reader import PatchReader

_SIDE = 160  # pixels of a picture, at most


class StyleNeighbors(NamedTuple):
    """What lies around one style of a bank.

    Attributes:
        row: of the style in the bank.
        neighbors: its nearest source patches.
    """

    row: int
    neighbors: Neighbors


def chosen_styles(bank: StyleBank, rows: Sequence[int] | None) -> list[int]:
    """The rows asked for; without any, of each class the style nearest to its mean.

    Raises:
        StyleBankError: if the bank has no such row.
    """
    if rows is None:
        return typical_styles(bank)
    if strange := [row for row in rows if not 0 <= row < len(bank)]:
        raise StyleBankError(
            f"the style bank has no styles {strange}; it has {len(bank)}, 0 to {len(bank) - 1}"
        )
    return list(dict.fromkeys(rows))


def search_patches(
    bank: StyleBank,
    batches: SeededBatches,
    *,
    rows: Sequence[int],
    reader: PatchReader,
    count: int,
    own_class: bool,
    most_batches: int | None,
    num_workers: int,
) -> list[StyleNeighbors]:
    """The nearest patches of styles, of a source set cut as in mining.

    Args:
        bank: that was mined with the reader's backbone and grid.
        batches: of mining; their order is random.
        rows: styles of the bank.
        reader: of the patches.
        count: patches for each style.
        own_class: compare a style with patches of its class alone.
        most_batches: how many to look at; None for all.
        num_workers: processes that read images.
    """
    nearest = NearestPatches(
        styles=style_points(bank.mean, bank.std)[list(rows)],
        class_ids=bank.class_id[list(rows)] if own_class else None,
        reader=reader,
        count=count,
        side=_SIDE,
    )
    numbers = range(len(batches))[:most_batches]
    loader = DataLoader(
        batches, batch_size=None, sampler=numbers, num_workers=num_workers, collate_fn=_as_it_is
    )
    for batch in tqdm(loader, desc="looking at patches", unit="batch", disable=None):
        nearest.add(batch)
    found = nearest.result()
    return [StyleNeighbors(row, around) for row, around in zip(rows, found, strict=True)]


def _as_it_is(batch: list[Example]) -> list[Example]:
    return batch

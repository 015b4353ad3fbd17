"""Style banks: merged, divided, described."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from langdg_d2.styles.bank import BankHeader, StyleBank, StyleBankError

MakeBank = Callable[..., StyleBank]
Content = Callable[[StyleBank], tuple[object, ...]]
Rows = Callable[[StyleBank], list[tuple[object, ...]]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"mean": torch.tensor([[0, 0], [0, math.inf], [0, 0], [math.nan, 0], [0, 0]])},
            r"non-finite mean in 2 of 5 styles; first: style 1 \(prompt 'Noir style road'\)",
        ),
        ({"std": torch.full((5, 2), -math.inf)}, "non-finite std in 5 of 5"),
    ],
)
def test_statistics_that_are_not_finite_are_refused(
    changes: dict[str, Any], message: str, bank: MakeBank
) -> None:
    with pytest.raises(StyleBankError, match=message):
        bank(**changes).require_finite()


def test_merged_header_names_every_origin_once(
    bank: MakeBank, content: Content, header: BankHeader
) -> None:
    parts = [
        bank(header=replace(header, source=source, seed=seed, settings={"steps": seed}))
        for source, seed in (("gta5", 1), ("synthia", 2), ("gta5", 3))
    ]
    merged = StyleBank.merge(parts)
    assert merged.header.source == "gta5 + synthia"
    assert merged.header.seed is None
    origin = {"created_by": header.created_by}
    assert merged.header.settings == {
        "merged": [
            origin | {"source": "gta5", "seed": 1, "settings": {"steps": 1}},
            origin | {"source": "synthia", "seed": 2, "settings": {"steps": 2}},
            origin | {"source": "gta5", "seed": 3, "settings": {"steps": 3}},
        ]
    }
    stepwise = StyleBank.merge([StyleBank.merge(parts[:2]), parts[2]])
    assert content(stepwise) == content(merged)


def test_a_seed_that_all_share_is_kept(bank: MakeBank, header: BankHeader) -> None:
    other = bank(header=replace(header, source="synthia"))
    assert StyleBank.merge([bank(), other]).header.seed == header.seed


@pytest.mark.parametrize(
    "change",
    [
        {"clip_name": "RN101"},
        {"clip_fingerprint": "0"},
        {"layer": "layer2"},
        {"grid": (1, 1)},
        {"class_names": ("road", "sky", "car")},
        {"ignore_label": 254},
    ],
)
def test_banks_that_do_not_belong_together_are_not_merged(
    change: dict[str, Any], bank: MakeBank, header: BankHeader
) -> None:
    ids = torch.zeros(5, dtype=torch.uint8)
    other = bank(header=replace(header, **change), class_id=ids)
    name = next(iter(change))
    with pytest.raises(StyleBankError, match=f"bank 3 of 3 .*{name}: the bank has .*the first"):
        StyleBank.merge([bank(), bank(), other])


def test_rows_are_those_asked_for_in_their_order(bank: MakeBank, rows_of: Rows) -> None:
    one = bank()
    part = one.rows([3, 0, 3])
    assert rows_of(part) == [rows_of(one)[k] for k in (3, 0, 3)]
    assert part.header == one.header
    assert rows_of(one.rows(range(1, 3))) == rows_of(one)[1:3]
    assert len(one.rows([])) == 0


def test_subsets_of_all_classes_merge_into_the_whole(
    bank: MakeBank, rows_of: Rows, header: BankHeader
) -> None:
    one = bank()
    parts = [one.subset(classes=[name]) for name in header.labels]
    merged = StyleBank.merge(parts)
    assert sorted(rows_of(merged)) == sorted(rows_of(one))
    assert merged.header == one.header


def test_counts_name_every_class(bank: MakeBank) -> None:
    assert bank().counts() == {"road": 3, "car": 1, "sky": 0, "ignore": 1}
    assert len(bank()) == 5


def test_description_has_a_row_per_class_and_a_total(bank: MakeBank) -> None:
    table = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in bank().describe().split("\n")
    ]
    assert set("".join(table.pop(1))) == {":", "-"}
    assert table == [
        ["class", "styles", "prompts", "cosine before", "cosine after"],
        ["road", "3", "2", "0.200", "0.500"],
        ["car", "1", "1", "0.300", f"{np.float32(1.0005):.3f}"],
        ["sky", "0", "0", "\u2013", "\u2013"],
        ["ignore", "1", "1", "0.150", "\u2013"],
        ["total", "5", "4", "0.210", f"{(0.4 + 0.5 + 1.0005 + 0.6) / 4:.3f}"],
    ]


def test_moving_a_bank_keeps_its_content(bank: MakeBank, content: Content) -> None:
    one = bank()
    moved = one.to("cpu")
    assert content(moved) == content(one)
    assert moved.mean.data_ptr() == one.mean.data_ptr()  # millions of styles are not copied

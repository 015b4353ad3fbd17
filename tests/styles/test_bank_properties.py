"""What holds for every style bank: it comes back from its file, merges and divides."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from langdg_d2.styles.bank import BankHeader, StyleBank

Content = Callable[[StyleBank], tuple[object, ...]]
Rows = Callable[[StyleBank], list[tuple[object, ...]]]

HEADER = BankHeader(
    clip_name="RN50-quickgelu",
    clip_fingerprint="0123456789abcdef",
    layer="layer1",
    channels=2,
    grid=(3, 3),
    class_names=("road", "car", "sky"),
    ignore_label=255,
    source="gta5",
    seed=7,
    settings={"steps": 100},
)
FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)
COSINE = st.floats(-1, 1, width=32) | st.just(math.nan)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@st.composite
def headers(draw: st.DrawFn) -> BankHeader:
    names = draw(st.lists(st.text().filter(lambda n: n != "ignore"), min_size=1, max_size=4))
    names = list(dict.fromkeys(names))
    return BankHeader(
        clip_name=draw(st.text()),
        clip_fingerprint=draw(st.text()),
        layer=draw(st.text()),
        channels=draw(st.integers(1, 3)),
        grid=draw(st.tuples(st.integers(1, 5), st.integers(1, 5))),
        class_names=tuple(names),
        ignore_label=draw(st.integers(len(names), 255)),
        source=draw(st.text()),
        seed=draw(st.none() | st.integers()),
        settings=draw(st.dictionaries(st.text(), JSON, max_size=3)),
    )


@st.composite
def banks(draw: st.DrawFn, header: BankHeader | None = None) -> StyleBank:
    header = draw(headers()) if header is None else header
    count = draw(st.integers(0, 5))

    def column(values: st.SearchStrategy[Any], width: int = 1) -> np.ndarray:
        size = count * width
        return np.array(draw(st.lists(values, min_size=size, max_size=size)))

    def statistics() -> torch.Tensor:
        flat = column(FINITE, header.channels).astype(np.float32)
        return torch.from_numpy(flat).view(count, header.channels)

    ids = column(st.sampled_from(sorted(header.labels.values())))
    return StyleBank(
        header=header,
        mean=statistics(),
        std=statistics(),
        class_id=torch.from_numpy(ids.astype(np.uint8)),
        prompts=tuple(draw(st.lists(st.text(max_size=4), min_size=count, max_size=count))),
        cosine_before=torch.from_numpy(column(COSINE).astype(np.float32)),
        cosine_after=torch.from_numpy(column(COSINE).astype(np.float32)),
    )


@settings(max_examples=40, deadline=None)
@given(original=banks())
def test_saved_bank_loads_equal_to_the_last_bit(
    original: StyleBank, tmp_path_factory: pytest.TempPathFactory, content: Content
) -> None:
    path = tmp_path_factory.mktemp("bank") / "styles.safetensors"
    original.save(path)
    assert content(StyleBank.load(path)) == content(original)


@settings(max_examples=40, deadline=None)
@given(parts=st.lists(banks(header=HEADER), min_size=1, max_size=3))
def test_merging_concatenates_and_keeps_a_header_all_share(
    parts: list[StyleBank], rows_of: Rows
) -> None:
    merged = StyleBank.merge(parts)
    assert rows_of(merged) == [row for part in parts for row in rows_of(part)]
    assert merged.header == HEADER
    total = {name: sum(part.counts()[name] for part in parts) for name in HEADER.labels}
    assert merged.counts() == total


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_subset_keeps_exactly_the_rows_asked_for(data: st.DataObject, rows_of: Rows) -> None:
    one = data.draw(banks(header=HEADER))
    classes = data.draw(st.lists(st.sampled_from(sorted(HEADER.labels))))
    names = {k: name for name, k in HEADER.labels.items()}
    ids = one.class_id.tolist()
    expected = [row for row, k in zip(rows_of(one), ids, strict=True) if names[k] in classes]
    part = one.subset(classes=classes)
    assert rows_of(part) == expected
    assert part.header == one.header
    assert part.counts() == {n: c * (n in classes) for n, c in one.counts().items()}

"""Drawing: always a style of the right class, each as likely as the next."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from langdg_d2.styles.bank import BankHeader, StyleBank, StyleBankError
from langdg_d2.styles.mixing import StyleSampler

NAMES = ("road", "car", "sky")
IGNORE = 255
HEADER = BankHeader(
    clip_name="RN50-quickgelu",
    clip_fingerprint="0123456789abcdef",
    layer="layer1",
    channels=1,
    grid=(3, 3),
    class_names=NAMES,
    ignore_label=IGNORE,
    source="gta5",
    seed=0,
)


def bank(*class_ids: int) -> StyleBank:
    count = len(class_ids)
    return StyleBank(
        header=HEADER,
        mean=torch.zeros(count, 1),
        std=torch.ones(count, 1),
        class_id=torch.tensor(class_ids, dtype=torch.uint8),
        prompts=[""] * count,
        cosine_before=torch.zeros(count),
        cosine_after=torch.zeros(count),
    )


def labels(*values: Any) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.uint8)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@settings(max_examples=80, deadline=None)
@given(
    ids=st.lists(st.sampled_from([0, 1, 2, IGNORE]), max_size=12),
    seed=st.integers(0, 2**32),
    shape=st.sampled_from([(), (0,), (7,), (2, 3, 3)]),
)
def test_every_draw_is_of_the_class_or_else_of_unlabelled_patches(
    ids: list[int], seed: int, shape: tuple[int, ...]
) -> None:
    sampler = StyleSampler(bank=bank(*ids, IGNORE))
    ids = [*ids, IGNORE]
    classes = labels(0, 1, 2, IGNORE)[torch.randint(4, shape, generator=seeded(seed))]
    rows, fallbacks = sampler.sample(classes, generator=seeded(seed))
    assert rows.shape == fallbacks.shape == classes.shape
    assert rows.dtype == torch.int64
    for wanted, row, fallback in zip(
        classes.flatten().tolist(),
        rows.flatten().tolist(),
        fallbacks.flatten().tolist(),
        strict=True,
    ):
        assert fallback == (wanted not in ids)
        assert ids[row] == (IGNORE if fallback else wanted)


@pytest.mark.parametrize(
    ("label", "rows", "fallback"),
    [
        (0, (1, 4, 5, 8), False),
        (1, (3,), False),
        (2, (0, 2, 6, 7), True),  # sky has none
        (IGNORE, (0, 2, 6, 7), False),
    ],
)
def test_patch_styles_are_uniform_and_independent(
    label: int, rows: tuple[int, ...], fallback: bool
) -> None:
    sampler = StyleSampler(bank=bank(IGNORE, 0, IGNORE, 1, 0, 0, IGNORE, IGNORE, 0))
    drawn, fallbacks = sampler.sample(labels(label).expand(8000, 2), generator=seeded())
    assert bool(fallbacks.all()) == bool(fallbacks.any()) == fallback
    place = {row: k for k, row in enumerate(rows)}
    pairs = torch.tensor([[place[a], place[b]] for a, b in drawn.tolist()])
    count = torch.bincount(pairs[:, 0] * len(rows) + pairs[:, 1], minlength=len(rows) ** 2)
    assert len(count) == len(rows) ** 2
    assert chisquare(count.numpy()).pvalue > 1e-3 or len(rows) == 1


def test_a_generator_decides_alone_and_advances() -> None:
    sampler = StyleSampler(bank=bank(*[0] * 50, *[IGNORE] * 50))
    classes = labels(0, 1, IGNORE).repeat(20)
    generator = seeded()
    first, second = (sampler.sample(classes, generator=generator)[0] for _ in range(2))
    assert not torch.equal(first, second)
    state = torch.get_rng_state()
    torch.manual_seed(123)
    again = sampler.sample(classes, generator=seeded())[0]
    assert torch.equal(first, again)
    torch.set_rng_state(state)
    sampler.sample(classes, generator=generator)
    assert torch.equal(torch.get_rng_state(), state)


def test_drawing_leaves_patch_classes_and_bank_alone() -> None:
    one, classes = bank(0, IGNORE, 0), labels(0, 1, IGNORE)
    StyleSampler(bank=one).sample(classes, generator=seeded())
    assert classes.tolist() == [0, 1, IGNORE]
    assert one.class_id.tolist() == [0, IGNORE, 0]


def test_empty_bank_is_refused() -> None:
    with pytest.raises(StyleBankError, match="0 styles; mine more images"):
        StyleSampler(bank=bank())


@pytest.mark.parametrize("ids", [(0, 1, 2, 2), (0, 1, 1, 0)])
def test_without_unlabelled_styles_a_lacking_class_gets_any(ids: tuple[int, ...]) -> None:
    sampler = StyleSampler(bank=bank(*ids))
    for label in sorted({0, 1, 2, IGNORE, 77} - set(ids)):
        drawn, fallbacks = sampler.sample(labels(*[label] * 200), generator=seeded())
        assert set(drawn.tolist()) == set(range(len(ids)))
        assert fallbacks.all()
    drawn, _ = sampler.sample(labels(*[1] * 50), generator=seeded())
    assert {ids[row] for row in drawn.tolist()} == {1}

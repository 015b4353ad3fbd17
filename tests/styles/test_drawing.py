"""Drawing: always a style of the right class, each as likely as the next."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from langdg_d2.styles.bank import StyleBank
from langdg_d2.styles.bank_header import BankHeader, StyleBankError
from langdg_d2.styles.drawing import StyleDrawer

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
    drawer = StyleDrawer(bank=bank(*ids, IGNORE))
    ids = [*ids, IGNORE]
    classes = labels(0, 1, 2, IGNORE)[torch.randint(4, shape, generator=seeded(seed))]
    drawn = drawer.draw(classes, generator=seeded(seed))
    assert drawn.index.shape == drawn.fallback.shape == classes.shape
    assert drawn.index.dtype == torch.int64
    for wanted, index, fallback in zip(
        classes.flatten().tolist(),
        drawn.index.flatten().tolist(),
        drawn.fallback.flatten().tolist(),
        strict=True,
    ):
        assert fallback == (wanted not in ids)
        assert ids[index] == (IGNORE if fallback else wanted)


@pytest.mark.parametrize(
    ("label", "rows", "fallback"),
    [
        (0, (1, 4, 5, 8), False),
        (1, (3,), False),
        (2, (0, 2, 6, 7), True),  # sky has none
        (IGNORE, (0, 2, 6, 7), False),
    ],
)
def test_styles_are_drawn_uniformly_and_one_patch_tells_nothing_of_the_next(
    label: int, rows: tuple[int, ...], fallback: bool
) -> None:
    drawer = StyleDrawer(bank=bank(IGNORE, 0, IGNORE, 1, 0, 0, IGNORE, IGNORE, 0))
    drawn = drawer.draw(labels(label).expand(8000, 2), generator=seeded())
    assert bool(drawn.fallback.all()) == bool(drawn.fallback.any()) == fallback
    place = {row: k for k, row in enumerate(rows)}
    pairs = torch.tensor([[place[a], place[b]] for a, b in drawn.index.tolist()])
    count = torch.bincount(pairs[:, 0] * len(rows) + pairs[:, 1], minlength=len(rows) ** 2)
    assert len(count) == len(rows) ** 2
    assert chisquare(count.numpy()).pvalue > 1e-3 or len(rows) == 1


def test_a_generator_decides_alone_and_advances() -> None:
    drawer = StyleDrawer(bank=bank(*[0] * 50, *[IGNORE] * 50))
    classes = labels(0, 1, IGNORE).repeat(20)
    generator = seeded()
    first, second = (drawer.draw(classes, generator=generator).index for _ in range(2))
    assert not torch.equal(first, second)
    state = torch.get_rng_state()
    torch.manual_seed(123)
    again = drawer.draw(classes, generator=seeded()).index
    assert torch.equal(first, again)
    torch.set_rng_state(state)
    drawer.draw(classes, generator=generator)
    assert torch.equal(torch.get_rng_state(), state)


def test_without_a_generator_the_global_seed_decides() -> None:
    drawer = StyleDrawer(bank=bank(*[0] * 50, IGNORE))
    draws = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        draws.append(drawer.draw(labels(*[0] * 30)).index)
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_drawing_leaves_patch_classes_and_bank_alone() -> None:
    one, classes = bank(0, IGNORE, 0), labels(0, 1, IGNORE)
    StyleDrawer(bank=one).draw(classes)
    assert classes.tolist() == [0, 1, IGNORE]
    assert one.class_id.tolist() == [0, IGNORE, 0]


def test_classes_that_cannot_be_served_are_named_at_once() -> None:
    with pytest.raises(StyleBankError, match=r"none for \['car', 'sky'\], and none for 'ignore'"):
        StyleDrawer(bank=bank(0, 0))
    with pytest.raises(StyleBankError, match=r"none for \['ignore'\]"):
        StyleDrawer(bank=bank(0, 1, 2), classes=["road", "ignore"])
    with pytest.raises(StyleBankError, match=r"0 styles.*none for \['road', 'car', 'sky'\]"):
        StyleDrawer(bank=bank())
    with pytest.raises(StyleBankError, match="0 styles"):
        StyleDrawer(bank=bank(), classes=[])
    with pytest.raises(StyleBankError, match=r"no class \['raod'\]; it has \['road', 'car'"):
        StyleDrawer(bank=bank(0, IGNORE), classes=["raod"])


@pytest.mark.parametrize(
    ("ids", "classes"), [((0, 1, 2, 2), None), ((0, 1, 1, 0), ["road", "car"])]
)
def test_without_styles_of_unlabelled_patches_the_unexpected_gets_any_style(
    ids: tuple[int, ...], classes: list[str] | None
) -> None:
    drawer = StyleDrawer(bank=bank(*ids), classes=classes)
    unexpected = sorted({0, 1, 2, IGNORE, 77} - set(ids))
    for label in unexpected:
        drawn = drawer.draw(labels(*[label] * 200), generator=seeded())
        assert set(drawn.index.tolist()) == set(range(len(ids)))
        assert drawn.fallback.all()
    drawn = drawer.draw(labels(*[1] * 50), generator=seeded())
    assert {ids[row] for row in drawn.index.tolist()} == {1}


def test_labels_have_to_be_train_ids_of_8_bit() -> None:
    with pytest.raises(TypeError, match=r"torch.int64, expected uint8"):
        StyleDrawer(bank=bank(IGNORE)).draw(torch.tensor([0]))

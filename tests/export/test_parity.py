"""Comparisons find every kind of difference, and only files that pass them get their names."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from langdg_d2.export import (
    Export,
    ExportedSegmentor,
    Parity,
    ParityError,
    measure_parity,
    parity_table,
    publish,
    require_parity,
)
from langdg_d2.export.parity import random_images
from langdg_d2.modeling import LangDGSegmentor

SIZE = (33, 40)


@pytest.fixture
def faithful(model: LangDGSegmentor) -> Callable[[Tensor], Tensor]:
    """What a perfect file gives."""
    return lambda images: torch.stack([model([{"image": x}])[0]["sem_seg"] for x in images])


def test_a_perfect_file_differs_in_nothing(
    model: LangDGSegmentor, faithful: Callable[[Tensor], Tensor]
) -> None:
    exact = Parity(size=SIZE, difference=0.0, agreement=1.0)
    assert measure_parity(model, faithful, size=SIZE) == exact
    classes = measure_parity(model, lambda x: faithful(x).argmax(dim=1).byte(), size=SIZE)
    assert classes == Parity(size=SIZE, difference=None, agreement=1.0)


def test_difference_is_relative_to_the_largest_logit_and_the_worse_of_one_and_several(
    model: LangDGSegmentor, faithful: Callable[[Tensor], Tensor]
) -> None:
    alone, both = (faithful(random_images(2, SIZE)[:count]).abs().max() for count in (1, 2))
    shifted = measure_parity(model, lambda x: faithful(x) + 0.5, size=SIZE)
    assert shifted.difference == pytest.approx(0.5 / min(alone, both).item(), rel=1e-4)
    assert shifted.agreement == 1  # all logits moved alike


def test_a_file_that_is_wrong_for_the_second_image_only_is_found(
    model: LangDGSegmentor, faithful: Callable[[Tensor], Tensor]
) -> None:
    def first_twice(images: Tensor) -> Tensor:
        return faithful(images[:1]).repeat(len(images), 1, 1, 1)

    parity = measure_parity(model, first_twice, size=SIZE)
    assert not parity.holds(1e-4)
    logits = faithful(random_images(2, SIZE))
    equal = (logits[1].argmax(dim=0) == logits[0].argmax(dim=0)).double().mean().item()
    assert parity.agreement == pytest.approx((1 + equal) / 2)


def test_a_file_of_another_shape_is_refused(
    model: LangDGSegmentor, faithful: Callable[[Tensor], Tensor]
) -> None:
    with pytest.raises(ParityError, match=r"gives \(1, 19, 32, 40\) where the model gives"):
        measure_parity(model, lambda x: faithful(x)[..., :32, :], size=SIZE)


@pytest.mark.parametrize(
    ("difference", "agreement", "good"),
    [
        (1e-5, 1.0, True),
        (None, 0.9995, True),
        (2e-4, 1.0, False),
        (1e-5, 0.99, False),
        (math.nan, 1.0, False),
        (None, math.nan, False),
    ],
)
def test_both_figures_have_bounds_and_what_is_no_number_is_beyond_them(
    difference: float | None, agreement: float, good: bool
) -> None:
    row = Parity(size=SIZE, difference=difference, agreement=agreement)
    assert row.holds(1e-4) is good


def test_logits_that_are_no_numbers_are_found(
    model: LangDGSegmentor, faithful: Callable[[Tensor], Tensor]
) -> None:
    def damaged(images: Tensor) -> Tensor:
        logits = faithful(images)
        logits[-1, 0, 0, 0] = math.nan if len(images) > 1 else logits[-1, 0, 0, 0]
        return logits

    assert math.isnan(measure_parity(model, damaged, size=SIZE).difference)


def test_the_table_never_rounds_up_to_all() -> None:
    row = Parity(size=(256, 512), difference=1.234e-6, agreement=0.999999)
    *_, line, classes = parity_table(
        {"a.onnx": [row], "b.pt2": [Parity(size=SIZE, difference=None, agreement=1.0)]}
    ).splitlines()
    assert [cell.strip() for cell in line.strip("|").split("|")] == [
        *("a.onnx", "256x512", "1.2e-06", "99.999 %")
    ]
    assert [cell.strip() for cell in classes.strip("|").split("|")][2:] == ["\u2013", "100.000 %"]


def test_images_are_always_the_same_and_of_many_colours() -> None:
    images = random_images(2, SIZE)
    assert (images.shape, images.dtype) == ((2, 3, *SIZE), torch.uint8)
    assert torch.equal(images, random_images(2, SIZE))
    assert not torch.equal(images[0], images[1])
    assert images.float().std() > 30


def test_files_get_their_names_together_or_not_at_all(tmp_path: Path) -> None:
    def written(name: str, agreement: float) -> Export:
        unverified = tmp_path / f"{name}.unverified.onnx"
        unverified.write_text("new")
        parity = (Parity(size=SIZE, difference=0.0, agreement=agreement),)
        segmentor = ExportedSegmentor(metadata={}, run=torch.clone)
        path = tmp_path / f"{name}.onnx"
        return Export(path=path, unverified=unverified, segmentor=segmentor, parity=parity)

    (tmp_path / "a.onnx").write_text("earlier")
    with pytest.raises(ParityError, match=r"b\.unverified\.onnx' does not .* 33x40, .* 50\.000 %"):
        publish([written("a", 1.0), written("b", 0.5)], largest_difference=1e-4)
    assert (tmp_path / "a.onnx").read_text() == "earlier"
    assert not (tmp_path / "b.onnx").exists()
    publish([written("a", 1.0), written("b", 1.0)], largest_difference=1e-4)
    assert (tmp_path / "a.onnx").read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.onnx", "b.onnx"]


def test_any_comparison_out_of_bounds_is_an_error_with_its_figures() -> None:
    good = Parity(size=(64, 64), difference=1e-6, agreement=1.0)
    require_parity({"a.pt2": [good]}, largest_difference=1e-4)
    bad = Parity(size=(97, 33), difference=3e-3, agreement=1.0)
    with pytest.raises(ParityError, match=r"a\.pt2.*97x33, 3\.0e-03.*at most 0\.0001"):
        require_parity({"a.pt2": [good, bad]}, largest_difference=1e-4)

"""Class, confidence and entropy against plain formulas."""

import math

import numpy as np
import pytest
import torch

from langdg_d2.utils.errors import LangDGError
from langdg_d2.visualization import Prediction
from langdg_d2.visualization import prediction as module


def image(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def slow(scores: list[float]) -> tuple[int, float, float]:
    """Class, confidence and relative entropy of one pixel."""
    powers = [math.exp(score - max(scores)) for score in scores]
    shares = [power / sum(powers) for power in powers]
    entropy = -sum(share * math.log(share) for share in shares) / math.log(len(shares))
    return scores.index(max(scores)), max(shares), entropy


@pytest.mark.parametrize("band", [1, 200, 1 << 22], ids=["a row", "a few rows", "all rows"])
def test_every_pixel_follows_the_formulas_however_rows_are_taken(
    band: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BAND_VALUES", band)
    logits = 4 * torch.randn(5, 7, 9)
    result = Prediction.from_logits(image(7, 9), logits)
    assert (result.classes.dtype, result.confidence.dtype, result.entropy.dtype) == (
        np.uint8,
        np.float32,
        np.float32,
    )
    for y in range(7):
        for x in range(9):
            k, confidence, entropy = slow(logits[:, y, x].tolist())
            assert result.classes[y, x] == k
            assert result.confidence[y, x] == pytest.approx(confidence, rel=1e-5)
            assert result.entropy[y, x] == pytest.approx(entropy, abs=1e-5)


def test_equal_logits_are_undecided_and_one_large_one_is_certain() -> None:
    logits = torch.zeros(19, 1, 2)
    logits[3, 0, 1] = 1e4
    result = Prediction.from_logits(image(1, 2), logits)
    assert result.entropy[0].tolist() == pytest.approx([1, 0])
    assert result.confidence[0].tolist() == pytest.approx([1 / 19, 1])
    assert result.classes[0].tolist() == [0, 3]


def test_half_precision_logits_are_evaluated_in_single_precision() -> None:
    logits = torch.randn(19, 6, 8).to(torch.bfloat16)
    half, single = (Prediction.from_logits(image(6, 8), x) for x in (logits, logits.float()))
    assert np.array_equal(half.confidence, single.confidence)
    assert np.array_equal(half.entropy, single.entropy)


def test_a_near_tie_goes_to_the_larger_logit_although_the_probabilities_round_alike() -> None:
    close = torch.tensor([1000.0, math.nextafter(1000.0, 2000.0)], dtype=torch.float64).float()
    close[1] = torch.nextafter(close[0], torch.tensor(2000.0))
    result = Prediction.from_logits(image(1, 1), close.view(2, 1, 1))
    assert result.classes.item() == 1


def test_a_single_class_is_certain() -> None:
    result = Prediction.from_logits(image(2, 3), torch.randn(1, 2, 3))
    assert (result.confidence == 1).all()
    assert (result.entropy == 0).all()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_logits_that_are_not_finite_are_refused(bad: float) -> None:
    logits = torch.zeros(3, 4, 4)
    logits[1, 2, 2] = bad
    with pytest.raises(LangDGError, match="not finite: half precision may be too narrow"):
        Prediction.from_logits(image(4, 4), logits)


def test_logits_of_another_size_or_of_too_many_classes_are_refused() -> None:
    with pytest.raises(LangDGError, match=r"logits \(3, 4, 5\) do not belong .*\(5, 4, 3\)"):
        Prediction.from_logits(image(5, 4), torch.zeros(3, 4, 5))
    with pytest.raises(LangDGError, match="257 classes, expected 256"):
        Prediction.from_logits(image(1, 1), torch.zeros(257, 1, 1))


def test_a_smaller_one_averages_values_and_never_makes_up_classes() -> None:
    logits = torch.zeros(3, 4, 8)
    logits[2, :, :4] = 20
    small = Prediction.from_logits(image(4, 8), logits).resized(2, 4)
    assert small.classes.tolist() == [[2, 2, 0, 0]] * 2
    assert small.confidence[0].tolist() == pytest.approx([1, 1, 1 / 3, 1 / 3])
    assert small.entropy[0].tolist() == pytest.approx([0, 0, 1, 1], abs=1e-6)
    blocks = image(4, 8).reshape(2, 2, 4, 2, 3).mean(axis=(1, 3))
    assert np.abs(small.image - blocks).max() <= 0.5

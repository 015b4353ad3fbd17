"""Overlapping windows: they cover the image, and a pixel's logits are the mean of its windows."""

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from langdg_d2.evaluation import MultiScaleInference, SlidingWindowInference
from langdg_d2.evaluation.inference import windows
from langdg_d2.utils.errors import LangDGError


class Pointwise(nn.Module):
    """Integer logits of a pixel from its own colour."""

    def forward(self, batch: list[dict[str, Any]]) -> list[dict[str, Tensor]]:
        return [{"sem_seg": image["image"].float()[[1, 0]] * 3} for image in batch]


class Convolution(nn.Module):
    """Logits from a pixel's neighbourhood, which a window cuts; remembers what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 5, padding=2)
        self.seen: list[list[dict[str, Any]]] = []

    def forward(self, batch: list[dict[str, Any]]) -> list[dict[str, Tensor]]:
        self.seen.append(list(batch))
        return [{"sem_seg": self.layer(image["image"].float()[None])[0]} for image in batch]


def picture(height: int = 23, width: int = 31) -> dict[str, Any]:
    return {"image": torch.randint(0, 256, (3, height, width), dtype=torch.uint8)}


def logits(model: nn.Module, inputs: dict[str, Any]) -> Tensor:
    return model([inputs])[0]["sem_seg"].detach()


@pytest.mark.parametrize("side", [1, 7, 8, 9, 16, 21, 30])
@pytest.mark.parametrize(("window", "stride"), [(8, 8), (8, 5), (8, 1), (1, 1), (40, 3)])
def test_windows_are_alike_a_stride_apart_and_cover_all(side: int, window: int, stride: int):
    spans = windows(side, window, stride)
    starts = [span.start for span in spans]
    assert {span.stop - span.start for span in spans} == {min(window, side)}
    assert {k for span in spans for k in range(span.start, span.stop)} == set(range(side))
    assert starts[0] == 0
    assert spans[-1].stop == side
    steps = [after - before for before, after in pairwise(starts)]
    assert all(step == stride for step in steps[:-1])
    assert all(0 < step <= stride for step in steps[-1:])


@pytest.mark.parametrize("stride", [(6, 8), (3, 5), (1, 8)])
def test_a_model_that_sees_single_pixels_gives_the_logits_of_the_whole_image(stride) -> None:
    inputs = picture()
    sliding = SlidingWindowInference(model=Pointwise(), window=(6, 8), stride=stride)
    assert torch.equal(logits(sliding, inputs), logits(Pointwise(), inputs))


@pytest.mark.parametrize("size", [(23, 31), (8, 31), (5, 31), (23, 6), (11, 12)])
def test_a_pixel_has_the_mean_logits_of_the_windows_that_see_it(size: tuple[int, int]) -> None:
    model, inputs = Convolution().eval(), picture(*size)
    sliding = SlidingWindowInference(model=model, window=(8, 10), stride=(5, 4))
    output = logits(sliding, inputs)
    height, width = min(8, size[0]), min(10, size[1])
    total = torch.zeros(4, *size, dtype=torch.double)
    times = torch.zeros(size)
    for top in sorted({min(k, size[0] - height) for k in range(0, size[0], 5)}):
        for left in sorted({min(k, size[1] - width) for k in range(0, size[1], 4)}):
            crop = inputs["image"][:, top : top + height, left : left + width]
            found = logits(model, {"image": crop})
            for y in range(height):
                for x in range(width):
                    total[:, top + y, left + x] += found[:, y, x]
                    times[top + y, left + x] += 1
    assert torch.allclose(output.double(), total / times, atol=1e-3)


def test_a_window_over_the_whole_image_is_the_model_bit_by_bit() -> None:
    model, batch = Convolution().eval(), [picture(), picture(9, 31)]
    sliding = SlidingWindowInference(model=model, window=(23, 31), stride=(1, 1))
    outputs = sliding(batch)
    assert len(model.seen) == 1
    assert all(seen is given for seen, given in zip(model.seen[0], batch, strict=True))
    for output, inputs in zip(outputs, batch, strict=True):
        assert torch.equal(output["sem_seg"], logits(model, inputs))


def test_one_window_is_predicted_at_a_time_at_its_own_size() -> None:
    model = Convolution().eval()
    inputs = picture() | {"height": 46, "width": 62}
    output = logits(SlidingWindowInference(model=model, window=(8, 10), stride=(8, 10)), inputs)
    assert [len(batch) for batch in model.seen] == [1] * (3 * 4)
    assert {(b["height"], b["width"]) for (b,) in model.seen} == {(8, 10)}
    native = logits(
        SlidingWindowInference(model=model, window=(8, 10), stride=(8, 10)),
        {"image": inputs["image"]},
    )
    expected = nn.functional.interpolate(native[None], scale_factor=2, mode="bilinear")[0]
    assert torch.allclose(output, expected, atol=1e-3)


def test_images_of_a_batch_slide_each_for_itself() -> None:
    model = Convolution().eval()
    sliding = SlidingWindowInference(model=model, window=(8, 10), stride=(5, 5))
    batch = [picture(), picture(7, 9), picture(8, 40)]
    for output, inputs in zip(sliding(batch), batch, strict=True):
        assert torch.equal(output["sem_seg"], logits(sliding, inputs))


def test_windows_slide_over_every_scale() -> None:
    inputs = picture()
    sliding = SlidingWindowInference(model=Pointwise(), window=(6, 8), stride=(4, 5))
    composed = MultiScaleInference(model=sliding, scales=[1, 0.5], flip=True)
    whole = MultiScaleInference(model=Pointwise(), scales=[1, 0.5], flip=True)
    assert torch.allclose(logits(composed, inputs), logits(whole, inputs), atol=1e-3)


@pytest.mark.parametrize(
    ("window", "stride", "message"),
    [
        ((8, 8), (8, 9), r"stride \(8, 9\) is larger than the window \(8, 8\)"),
        ((8, 8), (0, 8), r"stride \(0, 8\); expected height and width"),
        ((8,), (8, 8), r"window \(8,\); expected height and width"),
    ],
)
def test_windows_that_leave_gaps_or_never_advance_are_refused(window, stride, message) -> None:
    with pytest.raises(LangDGError, match=message):
        SlidingWindowInference(model=Pointwise(), window=window, stride=stride)

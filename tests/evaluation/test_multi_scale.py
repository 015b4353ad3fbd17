"""Logits averaged over scales and flips, against slow references."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from langdg_d2.evaluation import MultiScaleInference
from langdg_d2.utils.errors import LangDGError


class Convolution(nn.Module):
    """Logits of two classes from the neighbourhood of a pixel; remembers what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 2, 3, padding=1)
        self.seen: list[dict[str, Any]] = []

    def forward(self, batch: list[dict[str, Any]]) -> list[dict[str, Tensor]]:
        self.seen += batch
        return [{"sem_seg": self.layer(image["image"].float()[None])[0]} for image in batch]


class Pointwise(nn.Module):
    """Logits of a pixel from its own colour."""

    def forward(self, batch: list[dict[str, Any]]) -> list[dict[str, Tensor]]:
        return [{"sem_seg": image["image"].float()[[1, 0]] * 3} for image in batch]


def picture(height: int = 21, width: int = 34) -> dict[str, Any]:
    return {"image": torch.randint(0, 256, (3, height, width), dtype=torch.uint8)}


def resized(x: Tensor, height: int, width: int) -> Tensor:
    """Bilinear with aligned corners, a row or a column at a time."""

    def stretch(line: np.ndarray, side: int) -> np.ndarray:
        return np.interp(np.linspace(0, len(line) - 1, side), np.arange(len(line)), line)

    tall = np.apply_along_axis(stretch, 1, x.double().numpy(), height)
    return torch.from_numpy(np.apply_along_axis(stretch, 2, tall, width))


@pytest.fixture
def model() -> Convolution:
    return Convolution().eval()


def logits(model: nn.Module, inputs: dict[str, Any]) -> Tensor:
    return model([inputs])[0]["sem_seg"].detach()


def test_scale_one_alone_is_the_model_bit_by_bit(model: Convolution) -> None:
    batch = [picture(), picture(13, 9)]
    outputs = MultiScaleInference(model=model, scales=[1.0])(batch)
    for output, inputs in zip(outputs, batch, strict=True):
        assert torch.equal(output["sem_seg"], logits(model, inputs))
    assert [seen.keys() for seen in model.seen[:2]] == [{"image"}, {"image"}]


@pytest.mark.parametrize("scale", [0.5, 0.75, 2.0])
def test_one_scale_is_resized_there_and_back(model: Convolution, scale: float) -> None:
    inputs = picture()
    small = resized(inputs["image"], int(21 * scale), int(34 * scale))
    expected = resized(logits(model, {"image": small}), 21, 34)
    output = logits(MultiScaleInference(model=model, scales=[scale]), inputs)
    assert torch.allclose(output.double(), expected, atol=1e-3)
    height, width = model.seen[-1]["image"].shape[1:]
    assert (height, width) == (model.seen[-1]["height"], model.seen[-1]["width"])


def test_sides_are_rounded_down(model: Convolution) -> None:
    logits(MultiScaleInference(model=model, scales=[0.5]), picture(21, 35))
    assert model.seen[0]["image"].shape == (3, 10, 17)


def test_logits_of_all_scales_are_averaged(model: Convolution) -> None:
    inputs = picture()
    each = [
        logits(MultiScaleInference(model=model, scales=[s]), inputs).double() for s in (1, 0.5, 2)
    ]
    output = logits(MultiScaleInference(model=model, scales=(1, 0.5, 2)), inputs)
    assert torch.allclose(output.double(), sum(each) / 3, atol=1e-3)
    assert not torch.allclose(each[0], each[1], atol=1)


@pytest.mark.parametrize("scales", [[1.0], [1.0, 0.5]])
def test_with_flips_the_mirrored_image_has_the_mirrored_logits(
    model: Convolution, scales: list[float]
) -> None:
    inputs = picture()
    mirrored = {"image": inputs["image"].flip(-1)}
    both = MultiScaleInference(model=model, scales=scales, flip=True)
    assert torch.allclose(logits(both, mirrored), logits(both, inputs).flip(-1), atol=1e-3)
    one = MultiScaleInference(model=model, scales=scales)
    mean = (logits(one, inputs) + logits(one, mirrored).flip(-1)) / 2
    assert torch.allclose(logits(both, inputs), mean, atol=1e-3)


def test_flips_change_nothing_for_a_model_that_sees_single_pixels() -> None:
    inputs = picture()
    assert torch.equal(
        logits(MultiScaleInference(model=Pointwise(), flip=True), inputs),
        logits(Pointwise(), inputs),
    )


def test_logits_have_the_wanted_size(model: Convolution) -> None:
    inputs = picture() | {"height": 40, "width": 50}
    output = logits(MultiScaleInference(model=model, scales=[0.5]), inputs)
    small = resized(inputs["image"], 10, 17)
    assert torch.allclose(
        output.double(), resized(logits(model, {"image": small}), 40, 50), atol=1e-3
    )


def test_inputs_and_the_models_own_tensors_stay_as_they_are() -> None:
    class Keeper(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.kept = torch.rand(2, 21, 34)

        def forward(self, batch: list[dict[str, Any]]) -> list[dict[str, Tensor]]:
            return [{"sem_seg": self.kept} for _ in batch]

    keeper, inputs = Keeper(), picture()
    kept, image = keeper.kept.clone(), inputs["image"].clone()
    MultiScaleInference(model=keeper, scales=[1, 1], flip=True)([inputs])
    assert torch.equal(keeper.kept, kept)
    assert torch.equal(inputs["image"], image)
    assert list(inputs) == ["image"]


@pytest.mark.parametrize("scales", [[], [1.0, 0.0], [-1]])
def test_scales_that_make_no_image_are_refused(model: Convolution, scales: list[float]) -> None:
    with pytest.raises(LangDGError, match="expected a list of factors above 0"):
        MultiScaleInference(model=model, scales=scales)

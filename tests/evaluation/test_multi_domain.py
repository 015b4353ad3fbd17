"""Evaluation on many domains, with Detectron2's real inference loop."""

import io
import sys
from typing import Any

import pytest
import torch
from detectron2.evaluation import DatasetEvaluator
from torch import nn

from langdg_d2.evaluation import StreamingSemSegEvaluator, evaluate_domains

NAMES = ["road", "sky"]


class BrightnessModel(nn.Module):
    """Predicts sky where the image is bright; fails on demand; records its mode."""

    def __init__(self) -> None:
        super().__init__()
        self.trained = nn.Sequential(nn.Dropout(), nn.BatchNorm2d(3))
        self.frozen = nn.BatchNorm2d(3)
        self.modes_seen: list[bool] = []

    def forward(self, batch: list[dict[str, Any]]) -> list[dict[str, Any]]:
        self.modes_seen += [module.training for module in self.modules()]
        if any("broken" in image["file_name"] for image in batch):
            raise RuntimeError("broken image")
        return [{"sem_seg": (image["image"].mean(dim=0) > 127).long()} for image in batch]


def domain(wrong_pixels: list[int], file_name: str = "a") -> list[list[dict[str, Any]]]:
    """A loader of batches of one 10-pixel image, of which so many pixels are predicted wrong."""
    loader = []
    for wrong in wrong_pixels:
        image = torch.zeros(3, 1, 10)
        image[..., 5:] = 255
        target = (torch.arange(10) >= 5).long()[None]
        target[:, 10 - wrong :] = 0
        loader.append([{"file_name": file_name, "image": image, "sem_seg": target}])
    return loader


def evaluators(*domains: str) -> dict[str, DatasetEvaluator]:
    return {
        name: StreamingSemSegEvaluator(dataset_name=name, class_names=NAMES, ignore_label=255)
        for name in domains
    }


def modes(model: nn.Module) -> list[bool]:
    return [module.training for module in model.modules()]


def test_each_domain_is_scored() -> None:
    loaders = {"source": domain([0]), "fog": domain([1, 1]), "night": domain([3])}
    results = evaluate_domains(BrightnessModel(), loaders, evaluators(*loaders))
    assert list(results) == ["source", "fog", "night"]
    accuracy = {name: tasks["sem_seg"]["pixel_accuracy"] for name, tasks in results.items()}
    assert accuracy == pytest.approx({"source": 100, "fog": 90, "night": 70})
    assert [results[name]["sem_seg"]["num_images"] for name in loaders] == [1, 2, 1]
    # Wrong pixels are sky in the prediction: IoU of road 5/(5+w), of sky (5-w)/5.
    assert results["fog"]["sem_seg"]["mIoU"] == pytest.approx(50 * (5 / 6 + 4 / 5))


@pytest.mark.parametrize("file_name", ["a", "broken"])
def test_every_submodule_is_back_in_its_mode(file_name: str) -> None:
    model = BrightnessModel()
    model.frozen.eval()
    before = modes(model)
    arguments = (model, {"fog": domain([1], file_name)}, evaluators("fog"))
    if file_name == "broken":
        with pytest.raises(RuntimeError, match="broken image"):
            evaluate_domains(*arguments)
    else:
        evaluate_domains(*arguments)
    assert modes(model) == before
    assert any(before)
    assert model.modes_seen
    assert not any(model.modes_seen)


def test_a_list_of_evaluators_serves_one_domain() -> None:
    class Counter(DatasetEvaluator):
        def reset(self) -> None:
            self.images = 0

        def process(self, inputs: Any, outputs: Any) -> None:
            self.images += len(inputs)

        def evaluate(self) -> dict[str, dict[str, float]]:
            return {"count": {"images": float(self.images)}}

    both = {"fog": [Counter(), *evaluators("fog").values()]}
    results = evaluate_domains(BrightnessModel(), {"fog": domain([1, 1, 1])}, both)
    assert results["fog"]["count"] == {"images": 3}
    assert results["fog"]["sem_seg"]["pixel_accuracy"] == pytest.approx(90)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stream", "shown"), [(Terminal(), True), (io.StringIO(), False)])
def test_a_terminal_shows_progress_per_domain_and_a_file_does_not(
    stream: io.StringIO, shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    loaders = {"fog": domain([1] * 3), "night": domain([3] * 2)}
    evaluate_domains(BrightnessModel(), loaders, evaluators(*loaders))
    for text in ("fog: 100%", "3/3", "night: 100%", "2/2", "batch/s"):
        assert (text in stream.getvalue()) == shown


class Silent(DatasetEvaluator):
    """Gives no scores, and notes what the model saw of cuDNN."""

    def reset(self) -> None:
        self.timed: list[bool] = []

    def process(self, inputs: Any, outputs: Any) -> None:
        self.timed.append(torch.backends.cudnn.benchmark)

    def evaluate(self) -> dict[str, dict[str, float]]:
        return {}


def test_domains_without_scores_are_in_no_result() -> None:
    loaders = {"fog": domain([1]), "test": domain([3])}
    both = {**evaluators("fog"), "test": Silent()}
    results = evaluate_domains(BrightnessModel(), loaders, both)
    assert list(results) == ["fog"]
    assert evaluate_domains(BrightnessModel(), {"test": domain([3])}, {"test": Silent()}) == {}


def test_cudnn_times_nothing_during_an_evaluation_and_goes_on_after() -> None:
    before, silent = torch.backends.cudnn.benchmark, Silent()
    torch.backends.cudnn.benchmark = True
    try:
        evaluate_domains(BrightnessModel(), {"test": domain([3])}, {"test": silent})
        assert silent.timed == [False]
        assert torch.backends.cudnn.benchmark
    finally:
        torch.backends.cudnn.benchmark = before

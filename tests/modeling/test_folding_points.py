"""The trainer, an evaluation and a predictor fold; a model by itself never does."""

from collections.abc import Callable

import pytest
import torch
from detectron2.evaluation import DatasetEvaluator

from langdg_d2.engine import SegmentationTrainer
from langdg_d2.evaluation import build_inference, evaluate_domains
from langdg_d2.modeling import LangDGSegmentor
from langdg_d2.modeling.fast_paths import plain_paths
from langdg_d2.visualization import Predictor


class Watch(DatasetEvaluator):
    """Keeps the logits of an image, those of the plain model, and what was folded meanwhile."""

    def __init__(self, model: LangDGSegmentor) -> None:
        self.model = model

    def process(self, inputs: list[dict], outputs: list[dict]) -> None:
        self.logits = outputs[0]["sem_seg"]
        self.plan = self.model.folds.plan
        with plain_paths():
            self.plain = self.model.logits(self.model.normalize(inputs[0]["image"])[None])[0]

    def evaluate(self) -> dict:
        return {}


@pytest.fixture
def model(
    random_segmentor: Callable[[list[str]], LangDGSegmentor], tiny_model: list[str]
) -> LangDGSegmentor:
    return random_segmentor(tiny_model)


def batch() -> list[dict]:
    return [
        {
            "image": torch.randint(256, (3, 48, 64), dtype=torch.uint8),
            "sem_seg": torch.randint(19, (48, 64), dtype=torch.uint8),
        }
        for _ in range(2)
    ]


@pytest.mark.parametrize("fused", [False, True])
def test_evaluations_while_training_see_the_weights_of_then(
    model: LangDGSegmentor, fused: bool
) -> None:
    watch, seen, images = Watch(model), [], batch()

    class Trainer(SegmentationTrainer):
        def evaluate(self) -> None:
            evaluate_domains(self.model, {"a": [images]}, {"a": watch})
            largest = watch.plain.abs().max()
            torch.testing.assert_close(watch.logits / largest, watch.plain / largest, **close)
            seen.append(watch.logits)
            assert model.folds.plan == (torch.float32, True)
            assert watch.plan == (torch.float32, False)

        def after_backward(self) -> None:
            self.evaluate()

        def after_step(self) -> None:
            self.evaluate()
            super().after_step()

    close = {"rtol": 0, "atol": 1e-5}
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=0.01, fused=fused)
    Trainer(model=model.train(), loader=[images] * 2, optimizer=optimizer).train(0, 2)
    assert model.folds.plan is model.backbone.folds.plan is None
    assert len(seen) == 4
    for before, after in zip(seen[::2], seen[1::2], strict=True):  # the step
        assert not torch.allclose(before, after)


def test_an_evaluation_folds_in_its_own_precision(model: LangDGSegmentor) -> None:
    watch = Watch(model)
    reduced = build_inference(model, precision="bfloat16", flip=True)
    evaluate_domains(reduced, {"a": [batch()[:1]]}, {"a": watch})
    assert watch.plan == (torch.bfloat16, False)
    assert model.folds.plan is None


def test_a_predictor_folds_its_model_once(model: LangDGSegmentor) -> None:
    assert model.folds.plan is None
    Predictor(model=model, precision="bfloat16")
    assert model.folds.plan == model.backbone.folds.plan == (torch.bfloat16, False)

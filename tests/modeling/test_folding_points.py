"""The trainer, an evaluation and a predictor fold; a model by itself never does."""

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from detectron2.evaluation import DatasetEvaluator

from langdg_d2.engine import SegmentationTrainer
from langdg_d2.evaluation import build_inference, evaluate_domains
from langdg_d2.modeling import LangDGSegmentor
from langdg_d2.visualization import Predictor


def folded_layers(model: LangDGSegmentor) -> tuple[bool, bool]:
    """Whether the backbone's first convolution and the head's are folded when called now."""
    with torch.no_grad():
        pairs = (model.backbone.tower.bn1, model.sem_seg_head.fuse[1])
        found = []
        for norm in pairs:
            x = torch.rand(2, norm.num_features, 3, 3) + 1
            found.append(not norm.training and torch.equal(norm(x), x))
    return tuple(found)


def plain_copy(model: LangDGSegmentor) -> LangDGSegmentor:
    copy = deepcopy(model)
    for module in copy.modules():
        module.__dict__.pop("forward", None)
    return copy


class Watch(DatasetEvaluator):
    """Keeps the logits of an image, those of the plain model, and what was folded meanwhile."""

    def __init__(self, model: LangDGSegmentor) -> None:
        self.model = model

    def process(self, inputs: list[dict], outputs: list[dict]) -> None:
        self.logits = outputs[0]["sem_seg"]
        self.folded = folded_layers(self.model)
        images = self.model.normalize(inputs[0]["image"])[None]
        self.plain = plain_copy(self.model).logits(images)[0]

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
            assert watch.folded == (True, True)
            assert folded_layers(self.model) == (False, False)

        def after_backward(self) -> None:
            self.evaluate()

        def after_step(self) -> None:
            self.evaluate()
            super().after_step()

    close = {"rtol": 0, "atol": 1e-5}
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=0.01, fused=fused)
    Trainer(model=model.train(), loader=[images] * 2, optimizer=optimizer).train(0, 2)
    assert folded_layers(model.eval()) == (False, False)
    assert len(seen) == 4
    for before, after in zip(seen[::2], seen[1::2], strict=True):  # the step
        assert not torch.allclose(before, after)


def test_an_evaluation_folds_in_its_own_precision(model: LangDGSegmentor) -> None:
    watch = Watch(model)
    reduced = build_inference(model, precision="bfloat16", flip=True)
    evaluate_domains(reduced, {"a": [batch()[:1]]}, {"a": watch})
    assert watch.folded == (True, True)
    assert folded_layers(model) == (False, False)


def test_a_predictor_folds_its_model_for_good(model: LangDGSegmentor) -> None:
    assert folded_layers(model.eval()) == (False, False)
    Predictor(model=model, precision="bfloat16")
    assert folded_layers(model) == (True, True)

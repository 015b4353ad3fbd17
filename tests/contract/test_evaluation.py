"""Contract of the inference loop and the evaluator of semantic segmentation."""

import json
import logging
import re
import time

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.evaluation import (
    DatasetEvaluator,
    DatasetEvaluators,
    SemSegEvaluator,
    inference_context,
    inference_on_dataset,
    print_csv_format,
)
from detectron2.utils import comm
from PIL import Image
from pycocotools import mask as mask_util

NAME = "contract_evaluation"
CLASSES = ["road", "wall", "sky", "train"]
SIZE = (40, 60)


class Recorder(DatasetEvaluator):
    """Counts batches and answers with their number under its key."""

    def __init__(self, key):
        self.key = key

    def reset(self):
        self.seen = []

    def process(self, inputs, outputs):
        self.seen.append((inputs, outputs))

    def evaluate(self):
        return {self.key: len(self.seen)}


class Silent(DatasetEvaluator):
    """An evaluator whose results are elsewhere."""


class Doubler(torch.nn.Module):
    """Doubles its batch and notes the circumstances."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(2.0))
        self.circumstances = set()

    def forward(self, batch):
        output = [x * self.scale for x in batch]
        self.circumstances.add((self.training, output[0].requires_grad))
        return output


def test_evaluators_see_every_batch_with_its_output():
    recorder = Recorder("batches")
    assert inference_on_dataset(Doubler(), [[1.0], [2.0, 3.0]], recorder) == {"batches": 2}
    assert recorder.seen == [([1.0], [2.0]), ([2.0, 3.0], [4.0, 6.0])]
    assert inference_on_dataset(Doubler(), [[1.0]], recorder) == {"batches": 1}


def test_the_model_runs_in_eval_mode_without_gradients_and_trains_on_after():
    model = Doubler()
    inference_on_dataset(model, [[1.0]] * 3, None)
    assert model.circumstances == {(False, False)}
    assert model.training
    assert torch.is_grad_enabled()
    with inference_context(model.eval()):
        assert not model.training
    assert not model.training


def test_results_of_a_list_of_evaluators_are_merged():
    results = inference_on_dataset(len, [[1], [2]], [Recorder("a"), Silent(), Recorder("b")])
    assert results == {"a": 2, "b": 2}
    assert inference_on_dataset(len, [[1], [2]], Silent()) == {}
    with pytest.raises(AssertionError, match="a"):
        inference_on_dataset(len, [[1]], DatasetEvaluators([Recorder("a"), Recorder("a")]))


def test_speed_is_logged_also_without_an_evaluator(caplog, monkeypatch):
    caplog.set_level(logging.INFO, logger="detectron2")
    later = time.time() + 6  # progress is logged at most every five seconds
    monkeypatch.setattr(time, "time", lambda: later)
    assert inference_on_dataset(len, [[1]] * 20, None) == {}
    assert "20 batches" in caplog.text
    assert re.search(r"Inference done \d+/20", caplog.text)
    assert "Total inference time" in caplog.text
    assert "s / iter per device, on 1 devices" in caplog.text


@pytest.fixture
def scene(tmp_path):
    """Four registered label maps, without any train and with ignored pixels."""
    generator = np.random.default_rng(0)
    records, maps = [], {}
    for k in range(4):
        labels = generator.integers(0, 3, (SIZE[0] // 4, SIZE[1] // 4), dtype=np.uint8)
        labels = labels.repeat(4, axis=0).repeat(4, axis=1)
        labels[generator.random(SIZE) < 0.1] = 255
        path = str(tmp_path / f"labels{k}.png")
        Image.fromarray(labels).save(path)
        records.append({"file_name": f"image{k}.png", "sem_seg_file_name": path})
        maps[f"image{k}.png"] = labels
    DatasetCatalog.register(NAME, lambda: records)
    MetadataCatalog.get(NAME).set(stuff_classes=CLASSES, ignore_label=255)
    yield records, maps
    DatasetCatalog.remove(NAME)
    MetadataCatalog.remove(NAME)


def predict(labels, share_right=0.7, seed=0):
    """Predictions that are right with a probability, else any class but the last."""
    generator = np.random.default_rng(seed)
    wrong = generator.integers(0, 3, labels.shape)
    is_right = (generator.random(labels.shape) < share_right) & (labels != 255)
    return np.where(is_right, labels, wrong)


def as_output(predicted):
    scores = torch.nn.functional.one_hot(torch.from_numpy(predicted).long(), len(CLASSES))
    return {"sem_seg": scores.permute(2, 0, 1).float()}


def evaluate(scene, predictions, **arguments):
    records, _ = scene
    evaluator = SemSegEvaluator(NAME, **arguments)
    evaluator.reset()
    for record, predicted in zip(records, predictions, strict=True):
        evaluator.process([record], [as_output(predicted)])
    return evaluator.evaluate()


def slow_scores(pairs):
    """Every score that both give, counted class by class."""
    predicted, true = np.concatenate([np.array(pair).reshape(2, -1) for pair in pairs], axis=1)
    predicted, true = predicted[true != 255], true[true != 255]
    iou, accuracy, share = {}, {}, {}
    for k, name in enumerate(CLASSES):
        both = ((predicted == k) & (true == k)).sum()
        either = ((predicted == k) | (true == k)).sum()
        share[name] = (true == k).mean()
        iou[name] = 100 * both / either if share[name] else np.nan
        accuracy[name] = 100 * both / (true == k).sum() if share[name] else np.nan
    scores = {f"IoU-{name}": value for name, value in iou.items()}
    scores |= {f"ACC-{name}": value for name, value in accuracy.items()}
    return scores | {
        "mIoU": np.nanmean(list(iou.values())),
        "mACC": np.nanmean(list(accuracy.values())),
        "fwIoU": np.nansum([iou[name] * share[name] for name in CLASSES]),
        "pACC": 100 * (predicted == true).mean(),
    }


def test_scores_equal_those_counted_class_by_class(scene):
    pairs = [(predict(labels, seed=k), labels) for k, labels in enumerate(scene[1].values())]
    scores = evaluate(scene, [predicted for predicted, _ in pairs])["sem_seg"]
    expected = slow_scores(pairs)
    assert np.isnan(expected["IoU-train"])
    assert 30 < expected["mIoU"] < 90
    for metric, value in expected.items():
        np.testing.assert_allclose(scores[metric], value, err_msg=metric)


def test_a_class_without_true_pixels_does_not_lower_the_mean(scene):
    predictions = [np.where(x == 255, 3, x) for x in scene[1].values()]
    scores = evaluate(scene, predictions)["sem_seg"]
    assert scores["mIoU"] == pytest.approx(100)
    wrong = [np.where(x == 2, 3, x) for x in predictions]
    scores = evaluate(scene, wrong)["sem_seg"]
    assert scores["mIoU"] == pytest.approx(200 / 3)
    assert np.isnan(scores["IoU-train"])


def test_results_and_masks_are_written(scene, tmp_path):
    folder = tmp_path / "results"
    predictions = [predict(labels) for labels in scene[1].values()]
    scores = evaluate(scene, predictions, output_dir=str(folder))["sem_seg"]
    saved = torch.load(folder / "sem_seg_evaluation.pth", weights_only=False)
    np.testing.assert_equal(dict(saved), dict(scores))
    masks = json.loads((folder / "sem_seg_predictions.json").read_text())
    assert len(masks) == 4 * 3
    for entry in masks:
        index = int(entry["file_name"].removesuffix(".png")[-1])
        mask = mask_util.decode(entry["segmentation"])
        np.testing.assert_array_equal(mask, predictions[index] == entry["category_id"])


def test_the_reader_of_label_maps_can_be_chosen(scene):
    def read(file_name, dtype):
        labels = np.asarray(Image.open(file_name)).astype(dtype)
        return np.where(labels == 255, 255, 2 - labels)

    predictions = [np.where(x == 255, 0, 2 - x) for x in scene[1].values()]
    scores = evaluate(scene, predictions, sem_seg_loading_fn=read)["sem_seg"]
    assert scores["pACC"] == pytest.approx(100)


def test_processes_sum_up_on_the_first(scene, on_processes):
    records, maps = scene

    def model(batch):
        return [as_output(predict(maps[record["file_name"]])) for record in batch]

    def run():
        loader = [[record] for record in records[comm.get_rank() :: 2]]
        return inference_on_dataset(model, loader, SemSegEvaluator(NAME))

    first, second = on_processes(2, run)
    alone = evaluate(scene, [predict(labels) for labels in maps.values()])
    assert second == {}
    np.testing.assert_equal(dict(first["sem_seg"]), dict(alone["sem_seg"]))


def test_main_scores_are_logged_as_lines_to_copy(caplog):
    caplog.set_level(logging.INFO, logger="detectron2")
    print_csv_format({"sem_seg": {"mIoU": 12.34567, "IoU-road": 1.0, "pACC": 50.0}, "speed": 3})
    assert caplog.messages == [
        "copypaste: Task: sem_seg",
        "copypaste: mIoU,pACC",
        "copypaste: 12.3457,50.0000",
        "copypaste: speed=3",
    ]

"""Contract of the inference loop and the evaluator of semantic segmentation."""

import json
import logging
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.distributed as dist
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.evaluation import (
    DatasetEvaluator,
    DatasetEvaluators,
    SemSegEvaluator,
    inference_context,
    inference_on_dataset,
    print_csv_format,
    verify_results,
)
from detectron2.evaluation.testing import flatten_results_dict
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
    with pytest.raises(AssertionError, match="a"):
        inference_on_dataset(len, [[1]], DatasetEvaluators([Recorder("a"), Recorder("a")]))


def test_no_evaluator_and_no_result_give_an_empty_dict():
    assert inference_on_dataset(len, [[1], [2]], None) == {}
    assert inference_on_dataset(len, [[1], [2]], Silent()) == {}


def test_callbacks_surround_every_inference():
    events = []
    names = ("on_start", "before_inference", "after_inference", "on_end")
    callbacks = {name: lambda name=name: events.append(name) for name in names}
    inference_on_dataset(lambda x: events.append("model"), [1, 2], Silent(), callbacks)
    batch = ["before_inference", "model", "after_inference"]
    assert events == ["on_start", *batch, *batch, "on_end"]
    inference_on_dataset(lambda x: None, [1], Silent(), {"on_end": lambda: events.append("only")})
    assert events[-1] == "only"


@pytest.fixture
def log(caplog, monkeypatch):
    """What the library logs, even where other tests have set its loggers up."""
    monkeypatch.setattr(logging.getLogger("detectron2"), "propagate", True)
    caplog.set_level(logging.INFO, logger="detectron2")
    return caplog


def test_speed_is_logged(log, monkeypatch):
    later = time.time() + 6  # progress is logged at most every five seconds
    monkeypatch.setattr(time, "time", lambda: later)
    inference_on_dataset(len, [[1]] * 20, None)
    text = log.text
    assert "20 batches" in text
    assert "Inference done 11/20" in text
    assert "Total inference time" in text
    assert "s / iter per device, on 1 devices" in text


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
    """Every score except those at boundaries, counted class by class."""
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


def test_perfect_predictions_are_perfect_at_boundaries(scene):
    maps = [np.where(x == 255, 0, x) for x in scene[1].values()]
    for record, labels in zip(scene[0], maps, strict=True):
        Image.fromarray(labels).save(record["sem_seg_file_name"])
    scores = evaluate(scene, maps)["sem_seg"]
    for name in CLASSES[:3]:
        assert scores[f"BoundaryIoU-{name}"] == pytest.approx(100)
        assert scores[f"min(IoU, B-Iou)-{name}"] == pytest.approx(100)


def test_boundaries_count_labels_less_the_smallest_label_around(scene):
    records, _ = scene
    true = np.zeros(SIZE, dtype=np.uint8)
    true[:, 30:] = 1
    predicted = np.zeros(SIZE, dtype=np.int64)
    predicted[:, 32:] = 1
    Image.fromarray(true).save(records[0]["sem_seg_file_name"])
    evaluator = SemSegEvaluator(NAME)
    evaluator.reset()
    evaluator.process(records[:1], [as_output(predicted)])
    scores = evaluator.evaluate()["sem_seg"]
    # 2 % of the diagonal of 72 pixels is one pixel: the columns 30 and 32, and three borders.
    at_true, at_predicted = np.zeros(SIZE, dtype=bool), np.zeros(SIZE, dtype=bool)
    for edge, column in ((at_true, 30), (at_predicted, 32)):
        edge[[0, -1], column:] = True
        edge[:, [column, -1]] = True
    expected = 100 * (at_true & at_predicted).sum() / (at_true | at_predicted).sum()
    assert scores["BoundaryIoU-wall"] == pytest.approx(expected)
    assert scores["min(IoU, B-Iou)-wall"] == pytest.approx(min(expected, scores["IoU-wall"]))


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


def test_an_ignore_label_can_take_the_place_of_the_data_sets(scene):
    predictions = [np.where(x == 255, 0, x) for x in scene[1].values()]
    for record, labels in zip(scene[0], scene[1].values(), strict=True):
        Image.fromarray(np.where(labels == 255, 77, labels)).save(record["sem_seg_file_name"])
    scores = evaluate(scene, predictions, ignore_label=77)["sem_seg"]
    assert scores["pACC"] == pytest.approx(100)
    with pytest.raises(AssertionError, match="5"):
        SemSegEvaluator(NAME, num_classes=5)


def test_the_reader_of_label_maps_can_be_chosen(scene):
    def read(file_name, dtype):
        labels = np.asarray(Image.open(file_name)).astype(dtype)
        return np.where(labels == 255, 255, 2 - labels)

    predictions = [np.where(x == 255, 0, 2 - x) for x in scene[1].values()]
    scores = evaluate(scene, predictions, sem_seg_loading_fn=read)["sem_seg"]
    assert scores["pACC"] == pytest.approx(100)


def test_processes_sum_up_on_the_first(scene, tmp_path):
    records, maps = scene
    context = torch.multiprocessing.get_context("fork")
    queue = context.Queue()

    def run(rank):
        store = f"file://{tmp_path / 'store'}"
        dist.init_process_group("gloo", init_method=store, rank=rank, world_size=2)
        evaluator = SemSegEvaluator(NAME)
        loader = [[record] for record in records[rank::2]]
        queue.put((rank, inference_on_dataset(model, loader, evaluator)))
        dist.barrier()

    def model(batch):
        return [as_output(predict(maps[record["file_name"]])) for record in batch]

    processes = [context.Process(target=run, args=(rank,)) for rank in range(2)]
    for process in processes:
        process.start()
    results = dict(queue.get(timeout=60) for _ in processes)
    for process in processes:
        process.join()
    assert results[1] == {}
    alone = evaluate(scene, [predict(labels) for labels in maps.values()])
    np.testing.assert_equal(dict(results[0]["sem_seg"]), dict(alone["sem_seg"]))


def test_main_scores_are_logged_as_lines_to_copy(log):
    print_csv_format({"sem_seg": {"mIoU": 12.34567, "IoU-road": 1.0, "pACC": 50.0}, "speed": 3})
    assert log.messages == [
        "copypaste: Task: sem_seg",
        "copypaste: mIoU,pACC",
        "copypaste: 12.3457,50.0000",
        "copypaste: speed=3",
    ]


@pytest.mark.parametrize(("actual", "is_expected"), [(51, True), (49, True), (51.1, False)])
def test_results_outside_their_tolerance_end_the_program(actual, is_expected):
    expected = [("sem_seg", "mIoU", 50.0, 1.0)]
    cfg = SimpleNamespace(TEST=SimpleNamespace(EXPECTED_RESULTS=expected))
    if is_expected:
        assert verify_results(cfg, {"sem_seg": {"mIoU": actual}})
        return
    for results in ({"mIoU": actual}, {"mIoU": np.nan}, {}):
        with pytest.raises(SystemExit) as ending:
            verify_results(cfg, {"sem_seg": results})
        assert ending.value.code == 1


def test_nested_results_flatten_to_paths():
    nested = {"a": {"b": 1, "c": {"d": 2}}, "e": 3}
    assert flatten_results_dict(nested) == {"a/b": 1, "a/c/d": 2, "e": 3}

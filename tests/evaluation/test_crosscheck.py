"""The scores against two other implementations: scikit-learn's and Detectron2's own evaluator."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.evaluation import SemSegEvaluator
from PIL import Image
from sklearn.metrics import accuracy_score, confusion_matrix, jaccard_score, recall_score

from langdg_d2.data import TestMapper
from langdg_d2.evaluation import StreamingSemSegEvaluator
from langdg_d2.structures import CITYSCAPES_19, CLASS_SUBSETS
from langdg_d2.structures.label_encoding import TRAIN_IDS

DATASET = "test_crosscheck"
SIZE = (37, 53)
IMAGES = 4
CLASSES = len(CITYSCAPES_19)
# Without ground truth, though predicted: the classes that SYNTHIA lacks, and bicycle (18).
ABSENT = (9, 14, 16, 18)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[dict[str, str]]]:
    """A registered data set with label files of train ids, some pixels of which are ignored."""
    folder, rng = tmp_path_factory.mktemp("crosscheck"), np.random.default_rng(0)
    present = [k for k in range(CLASSES) if k not in ABSENT]
    records = []
    for k in range(IMAGES):
        label = rng.choice(present, SIZE).astype(np.uint8)
        label[rng.random(SIZE) < 0.1] = CITYSCAPES_19.ignore_label
        image = rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
        names = {"file_name": f"{folder}/{k}.png", "sem_seg_file_name": f"{folder}/{k}_label.png"}
        Image.fromarray(image).save(names["file_name"])
        Image.fromarray(label).save(names["sem_seg_file_name"])
        records.append(names | {"label_encoding": TRAIN_IDS.name})
    DatasetCatalog.register(DATASET, lambda: records)
    MetadataCatalog.get(DATASET).set(
        stuff_classes=list(CITYSCAPES_19.names), ignore_label=CITYSCAPES_19.ignore_label
    )
    yield records
    DatasetCatalog.remove(DATASET)
    MetadataCatalog.remove(DATASET)


def logits(record: dict[str, str]) -> torch.Tensor:
    """Random logits that favour the true class, so that the scores are neither 0 nor 100."""
    index = int(Path(record["file_name"]).stem)
    generator = torch.Generator().manual_seed(index)
    label = torch.from_numpy(np.array(Image.open(record["sem_seg_file_name"]))).long()
    favoured = torch.nn.functional.one_hot(label.clamp(max=CLASSES - 1), CLASSES).permute(2, 0, 1)
    return torch.randn(CLASSES, *SIZE, generator=generator) + 1.5 * favoured


@pytest.fixture
def evaluated(
    records: list[dict[str, str]],
) -> Callable[[str | None], StreamingSemSegEvaluator]:
    """Function that gives our evaluator after all files were read and counted."""

    def evaluate(scored: str | None = None) -> StreamingSemSegEvaluator:
        evaluator = StreamingSemSegEvaluator(
            dataset_name=DATASET,
            class_names=CITYSCAPES_19.names,
            ignore_label=CITYSCAPES_19.ignore_label,
            scored_classes=scored,
        )
        for record in records:
            evaluator.process([TestMapper()(record)], [{"sem_seg": logits(record)}])
        return evaluator

    return evaluate


def pixels(records: list[dict[str, str]]) -> tuple[np.ndarray, np.ndarray]:
    """Truth and prediction of all pixels that count."""
    truth = np.concatenate(
        [np.asarray(Image.open(r["sem_seg_file_name"])).ravel() for r in records]
    )
    found = np.concatenate([logits(r).argmax(dim=0).numpy().ravel() for r in records])
    counted = truth != CITYSCAPES_19.ignore_label
    return truth[counted], found[counted]


def test_the_confusion_matrix_is_scikit_learns(records, evaluated) -> None:
    truth, found = pixels(records)
    ours = evaluated().confusion.matrix
    assert ours.tolist() == confusion_matrix(truth, found, labels=range(CLASSES)).tolist()
    assert ours[:, list(ABSENT)].sum() > 0


@pytest.mark.parametrize("scored", ["19", "16", "13"])
def test_scores_are_scikit_learns(records, evaluated, scored: str) -> None:
    truth, found = pixels(records)
    names = CLASS_SUBSETS[scored]
    indices = [CITYSCAPES_19.names.index(name) for name in names]
    iou = jaccard_score(truth, found, labels=indices, average=None)
    present = [k for k, index in enumerate(indices) if index not in ABSENT]
    ours = evaluated(scored).evaluate()["sem_seg"]
    assert [ours[f"IoU-{name}"] for name in names] == pytest.approx(list(100 * iou), abs=1e-9)
    assert ours["mIoU"] == pytest.approx(100 * np.nanmean(iou), abs=1e-9)
    assert ours["mIoU_detectron2"] == pytest.approx(100 * iou[present].mean(), abs=1e-9)
    inside = np.isin(truth, indices)
    accuracy = accuracy_score(truth[inside], found[inside])
    assert ours["pixel_accuracy"] == pytest.approx(100 * accuracy, abs=1e-9)
    recall = recall_score(truth, found, labels=indices, average=None, zero_division=np.nan)
    assert ours["mean_accuracy"] == pytest.approx(100 * np.nanmean(recall[present]), abs=1e-9)
    for subset in ("16", "13"):
        if int(subset) <= int(scored):
            alone = evaluated(subset).evaluate()["sem_seg"]
            for metric in ("mIoU", "mIoU_detectron2"):
                name = metric.replace("mIoU", f"mIoU_{subset}")
                assert ours[name] == pytest.approx(alone[metric], abs=1e-12)
        else:
            assert f"mIoU_{subset}" not in ours


def test_scores_are_those_of_detectron2s_evaluator_on_the_same_files(records, evaluated) -> None:
    reference = SemSegEvaluator(DATASET, distributed=False)
    reference.reset()
    for record in records:
        reference.process([record], [{"sem_seg": logits(record)}])
    theirs = reference.evaluate()["sem_seg"]
    ours = evaluated().evaluate()["sem_seg"]
    same = {"mIoU_detectron2": "mIoU", "fwIoU": "fwIoU", "pixel_accuracy": "pACC"}
    present = [n for k, n in enumerate(CITYSCAPES_19.names) if k not in ABSENT]
    same |= {"mean_accuracy": "mACC"}
    same |= {f"{kind}-{name}": f"{kind}-{name}" for kind in ("IoU", "ACC") for name in present}
    for our_name, their_name in same.items():
        assert 1 < ours[our_name] < 99
        assert ours[our_name] == pytest.approx(theirs[their_name], abs=1e-9), our_name
    # 15 of 19 classes have ground truth; the other four were all predicted somewhere.
    assert ours["mIoU"] == pytest.approx(ours["mIoU_detectron2"] * 15 / 19, abs=1e-9)

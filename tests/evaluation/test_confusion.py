"""Confusion matrix and scores against slow loops, closed forms and Detectron2's convention."""

import math

import pytest
import torch
from torch import Tensor

from langdg_d2.evaluation import confusion
from langdg_d2.evaluation.confusion import ConfusionMatrix
from langdg_d2.utils.errors import LangDGError

IGNORE = 255


def slow_matrix(prediction: Tensor, target: Tensor, num_classes: int, ignore: int) -> Tensor:
    matrix = torch.zeros(num_classes, num_classes, dtype=torch.int64)
    for p, t in zip(prediction.flatten().tolist(), target.flatten().tolist(), strict=True):
        if t != ignore:
            matrix[t, p] += 1
    return matrix


def random_maps(seed: int, num_classes: int, ignore: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shape = (2, 17, 23)
    prediction = torch.randint(num_classes, shape, generator=generator)
    target = torch.randint(num_classes, shape, generator=generator)
    target[torch.rand(shape, generator=generator) < 0.2] = ignore
    return prediction, target


def counted(prediction: list[int], target: list[int], num_classes: int) -> Tensor:
    matrix = ConfusionMatrix(num_classes=num_classes, ignore_label=IGNORE)
    matrix.update(torch.tensor(prediction), torch.tensor(target))
    return matrix.matrix


@pytest.mark.parametrize(("num_classes", "ignore"), [(1, 255), (2, -1), (5, 255), (5, 5), (19, -1)])
def test_counts_equal_a_loop_over_pixels(num_classes: int, ignore: int) -> None:
    matrix = ConfusionMatrix(num_classes=num_classes, ignore_label=ignore)
    expected = torch.zeros(num_classes, num_classes, dtype=torch.int64)
    for seed in range(3):
        prediction, target = random_maps(seed, num_classes, ignore)
        matrix.update(prediction, target)
        expected += slow_matrix(prediction, target, num_classes, ignore)
    assert torch.equal(matrix.matrix, expected)
    assert matrix.matrix.dtype == torch.int64


def test_integer_types_do_not_change_the_counts() -> None:
    prediction, target = random_maps(0, 19, IGNORE)
    expected = slow_matrix(prediction, target, 19, IGNORE)
    for dtype in (torch.uint8, torch.int16, torch.int32):
        matrix = ConfusionMatrix(num_classes=19, ignore_label=IGNORE)
        matrix.update(prediction.to(dtype), target.to(dtype))
        assert torch.equal(matrix.matrix, expected)


def test_rows_are_ground_truth() -> None:
    assert counted([1, 1, 1], [0, 0, 1], 2).tolist() == [[0, 2], [0, 1]]


def test_only_ignored_pixels_count_nothing() -> None:
    assert counted([0, 1], [IGNORE, IGNORE], 2).tolist() == [[0, 0], [0, 0]]


def test_255_is_not_taken_for_an_ignore_label_of_minus_one() -> None:
    matrix = ConfusionMatrix(num_classes=2, ignore_label=-1)
    with pytest.raises(LangDGError, match=r"ground truth holds \[255\], expected 0..1 or -1"):
        matrix.update(torch.tensor([0]), torch.tensor([255], dtype=torch.uint8))


@pytest.mark.parametrize(
    ("prediction", "target", "message"),
    [
        ([0, 3, 7, 3], [0, 0, 0, 0], r"prediction holds \[3, 7\], expected 0..2;"),
        ([0, -1, 0, 0], [0, 0, 0, 0], r"prediction holds \[-1\]"),
        ([0, 0, 0, 0], [0, 33, 4, 255], r"ground truth holds \[4, 33\], expected 0..2 or 255"),
        ([0, 0, 0], [0, 0, 0, 0], r"prediction \(3,\) and ground truth \(4,\) differ"),
    ],
)
def test_bad_maps_are_named_and_not_counted(
    prediction: list[int], target: list[int], message: str
) -> None:
    matrix = ConfusionMatrix(num_classes=3, ignore_label=IGNORE)
    with pytest.raises(LangDGError, match=message):
        matrix.update(torch.tensor(prediction), torch.tensor(target))
    assert matrix.matrix.sum() == 0


def test_logits_are_not_taken_for_classes() -> None:
    matrix = ConfusionMatrix(num_classes=3, ignore_label=IGNORE)
    with pytest.raises(TypeError, match=r"prediction is torch\.float32"):
        matrix.update(torch.zeros(2, 2), torch.zeros(2, 2, dtype=torch.int64))


@pytest.mark.parametrize(("num_classes", "ignore"), [(0, 255), (19, 18), (19, 0)])
def test_impossible_label_spaces_are_refused(num_classes: int, ignore: int) -> None:
    with pytest.raises(LangDGError, match=str(ignore if num_classes else num_classes)):
        ConfusionMatrix(num_classes=num_classes, ignore_label=ignore)


def test_merged_parts_equal_the_whole() -> None:
    prediction, target = random_maps(1, 5, IGNORE)
    parts = [ConfusionMatrix(num_classes=5, ignore_label=IGNORE) for _ in range(2)]
    for part, p, t in zip(parts, prediction, target, strict=True):
        part.update(p, t)
    second = parts[1].matrix.clone()
    parts[0].merge(parts[1])
    assert torch.equal(parts[0].matrix, slow_matrix(prediction, target, 5, IGNORE))
    assert torch.equal(parts[1].matrix, second)


def test_matrices_of_other_label_spaces_do_not_merge() -> None:
    matrix = ConfusionMatrix(num_classes=5, ignore_label=255)
    with pytest.raises(LangDGError, match=r"\(5, 255\) and \(5, -1\)"):
        matrix.merge(ConfusionMatrix(num_classes=5, ignore_label=-1))


def test_scores_equal_the_definitions() -> None:
    prediction, target = random_maps(2, 4, IGNORE)
    matrix = slow_matrix(prediction, target, 4, IGNORE)
    valid = target != IGNORE
    iou, accuracy, frequency = [], [], []
    for k in range(4):
        truth, predicted = valid & (target == k), valid & (prediction == k)
        iou.append(int((truth & predicted).sum()) / int((truth | predicted).sum()))
        accuracy.append(int((truth & predicted).sum()) / int(truth.sum()))
        frequency.append(int(truth.sum()) / int(valid.sum()))

    assert confusion.class_iou(matrix).tolist() == pytest.approx(iou, rel=1e-12)
    assert confusion.class_accuracy(matrix).tolist() == pytest.approx(accuracy, rel=1e-12)
    assert confusion.mean_iou_authors(matrix) == pytest.approx(sum(iou) / 4, rel=1e-12)
    assert confusion.mean_iou_detectron2(matrix) == pytest.approx(sum(iou) / 4, rel=1e-12)
    assert confusion.mean_accuracy(matrix) == pytest.approx(sum(accuracy) / 4, rel=1e-12)
    right = int((valid & (prediction == target)).sum())
    assert confusion.pixel_accuracy(matrix) == pytest.approx(right / int(valid.sum()), rel=1e-12)
    weighted = sum(f * i for f, i in zip(frequency, iou, strict=True))
    assert confusion.frequency_weighted_iou(matrix) == pytest.approx(weighted, rel=1e-12)


def test_class_absent_from_truth_but_predicted_counts_zero_only_for_the_authors() -> None:
    # IoU: class 0 = 1, class 1 = 1/2, class 2 only predicted, class 3 nowhere.
    matrix = counted([0, 0, 1, 2], [0, 0, 1, 1], 4)
    iou = confusion.class_iou(matrix).tolist()
    assert iou[:3] == [1.0, 0.5, 0.0]
    assert math.isnan(iou[3])
    assert confusion.mean_iou_authors(matrix) == 0.5  # (1 + 1/2 + 0) / 3
    assert confusion.mean_iou_detectron2(matrix) == 0.75  # (1 + 1/2) / 2


def test_three_predicted_classes_without_truth_make_a_factor_of_19_to_16() -> None:
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randint(1, 1000, (19, 19), generator=generator)
    matrix[[9, 14, 16]] = 0  # no ground truth of terrain, truck, train
    ratio = confusion.mean_iou_detectron2(matrix) / confusion.mean_iou_authors(matrix)
    assert ratio == pytest.approx(19 / 16, rel=1e-12)


def test_a_subset_averages_the_same_ious() -> None:
    prediction, target = random_maps(3, 5, IGNORE)
    matrix = slow_matrix(prediction, target, 5, IGNORE)
    iou = confusion.class_iou(matrix)
    subset = [0, 3]
    expected = float(iou[0] + iou[3]) / 2
    assert confusion.mean_iou_authors(matrix, subset) == pytest.approx(expected, rel=1e-12)
    assert confusion.mean_iou_detectron2(matrix, subset) == pytest.approx(expected, rel=1e-12)
    rows = matrix[subset].double().sum(dim=1)
    right = float(matrix[0, 0] + matrix[3, 3])
    assert confusion.pixel_accuracy(matrix, subset) == pytest.approx(right / float(rows.sum()))
    assert confusion.frequency_weighted_iou(matrix, subset) == pytest.approx(
        float((rows * iou[subset]).sum() / rows.sum())
    )
    recall = float(matrix[0, 0] / rows[0] + matrix[3, 3] / rows[1]) / 2
    assert confusion.mean_accuracy(matrix, subset) == pytest.approx(recall)


def test_absent_classes_weigh_nothing_in_the_frequency_weighted_iou() -> None:
    # As above: frequencies 1/2, 1/2, 0, 0.
    matrix = counted([0, 0, 1, 2], [0, 0, 1, 1], 4)
    assert confusion.frequency_weighted_iou(matrix) == 0.75


def test_counts_beyond_the_integers_of_float32_stay_exact() -> None:
    matrix = ConfusionMatrix(num_classes=2, ignore_label=IGNORE)
    matrix.matrix[0, 0] = 2**24
    matrix.update(torch.tensor([0]), torch.tensor([0]))
    assert matrix.matrix[0, 0] == 2**24 + 1
    off_by_one = torch.tensor([[2**30, 1], [0, 1]])
    assert float(confusion.class_iou(off_by_one)[0]) == 2**30 / (2**30 + 1) < 1


def test_an_empty_matrix_has_no_scores() -> None:
    empty = torch.zeros(3, 3, dtype=torch.int64)
    for score in (
        confusion.mean_iou_authors,
        confusion.mean_iou_detectron2,
        confusion.frequency_weighted_iou,
        confusion.pixel_accuracy,
        confusion.mean_accuracy,
    ):
        assert math.isnan(score(empty))

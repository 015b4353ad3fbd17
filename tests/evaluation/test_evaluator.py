"""The streaming evaluator: exact over processes, clear about bad input."""

import math
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from detectron2.utils import comm

from langdg_d2.evaluation import StreamingSemSegEvaluator, predicted_classes
from langdg_d2.structures import CITYSCAPES_19, CLASS_SUBSETS
from langdg_d2.utils.errors import LangDGError

NAMES = ["road", "sky", "car", "train"]
IGNORE = 255
DATASET = "test_streaming_evaluator"


def make_evaluator(**changes: Any) -> StreamingSemSegEvaluator:
    arguments = {"dataset_name": DATASET, "class_names": NAMES, "ignore_label": IGNORE}
    return StreamingSemSegEvaluator(**(arguments | changes))


def make_batch(seed: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """One image; no ground truth of "train", though it is predicted."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(len(NAMES), 12, 20, generator=generator)
    target = torch.randint(3, (12, 20), generator=generator, dtype=torch.uint8)
    target[:2] = IGNORE
    return [{"file_name": f"{seed}.png", "sem_seg": target}], [{"sem_seg": logits}]


def evaluate_seeds(evaluator: StreamingSemSegEvaluator, seeds: list[int]) -> dict[str, float]:
    for seed in seeds:
        evaluator.process(*make_batch(seed))
    return evaluator.evaluate().get("sem_seg", {})


def test_class_maps_score_like_their_logits() -> None:
    inputs, outputs = make_batch(0)
    evaluator = make_evaluator()
    evaluator.process(inputs, [{"sem_seg": outputs[0]["sem_seg"].argmax(dim=0)}])
    assert evaluator.evaluate()["sem_seg"] == pytest.approx(
        evaluate_seeds(make_evaluator(), [0]), nan_ok=True
    )


def test_scored_classes_limit_the_mean_and_the_table() -> None:
    everything = evaluate_seeds(make_evaluator(), [0, 1])
    some = evaluate_seeds(make_evaluator(scored_classes=["car", "road"]), [0, 1])
    assert some["mIoU"] == pytest.approx((everything["IoU-car"] + everything["IoU-road"]) / 2)
    assert [key for key in some if key.startswith("IoU-")] == ["IoU-car", "IoU-road"]
    assert some["IoU-car"] == everything["IoU-car"]


@pytest.mark.parametrize(
    ("scored", "subsets"), [(None, ["16", "13"]), ("16", ["16", "13"]), (13, ["13"])]
)
def test_means_over_named_subsets_average_the_same_ious(
    scored: str | int | None, subsets: list[str]
) -> None:
    names = CITYSCAPES_19.names
    generator = torch.Generator().manual_seed(0)
    target = torch.randint(19, (40, 50), generator=generator)
    target[target == names.index("bus")] = IGNORE  # predicted, but without ground truth
    prediction = torch.randint(19, (40, 50), generator=generator)
    evaluator = make_evaluator(class_names=names, scored_classes=scored)
    evaluator.process([{"sem_seg": target}], [{"sem_seg": prediction}])
    scores = evaluator.evaluate()["sem_seg"]
    for subset in subsets:
        ious = [scores[f"IoU-{name}"] for name in CLASS_SUBSETS[subset]]
        assert scores["IoU-bus"] == 0
        assert scores[f"mIoU_{subset}"] == pytest.approx(sum(ious) / int(subset))
        with_truth = sum(ious) / (int(subset) - 1)
        assert scores[f"mIoU_{subset}_detectron2"] == pytest.approx(with_truth)
    assert sum(key.startswith("mIoU_") for key in scores) == 1 + 2 * len(subsets)
    if scored is not None:
        assert scores["mIoU"] == scores[f"mIoU_{scored}"]


def test_unknown_subsets_are_refused() -> None:
    with pytest.raises(LangDGError, match=r"scored_classes '17' is not a subset .*\['19', '16'"):
        make_evaluator(class_names=CITYSCAPES_19.names, scored_classes="17")


@pytest.mark.parametrize("scored", [["road", "lake"], [], ["sky", "sky"]])
def test_scored_classes_must_be_distinct_and_known(scored: list[str]) -> None:
    with pytest.raises(LangDGError, match="expected distinct names from"):
        make_evaluator(scored_classes=scored)


def test_evaluating_twice_counts_once_and_reset_forgets() -> None:
    evaluator = make_evaluator()
    first = evaluate_seeds(evaluator, [0, 1])
    assert evaluator.evaluate()["sem_seg"] == pytest.approx(first, rel=0, abs=0, nan_ok=True)
    assert first["num_images"] == 2
    assert evaluator.confusion.matrix.sum() == 2 * 10 * 20  # two of twelve rows are ignored
    evaluator.reset()
    assert evaluate_seeds(evaluator, [1])["num_images"] == 1
    assert evaluator.confusion.matrix.sum() == 10 * 20


def test_errors_name_the_file() -> None:
    inputs, outputs = make_batch(7)
    smaller = [{"sem_seg": outputs[0]["sem_seg"][:, ::2]}]
    fewer = [{"sem_seg": outputs[0]["sem_seg"][:2]}]
    batch_axis = [{"sem_seg": outputs[0]["sem_seg"][None]}]
    raw_ids = [inputs[0] | {"sem_seg": inputs[0]["sem_seg"].clamp(max=33)}]
    unlabelled = [{"file_name": "7.png"}]
    for bad_inputs, bad_outputs, message in (
        (inputs, smaller, r"prediction \(6, 20\) and ground truth \(12, 20\)"),
        (inputs, fewer, "the model predicts 2 classes, the data set has 4"),
        (inputs, batch_axis, r"shape \(1, 4, 12, 20\)"),
        (raw_ids, outputs, r"ground truth holds \[33\]"),
        (unlabelled, outputs, "no ground truth 'sem_seg'"),
    ):
        with pytest.raises(LangDGError, match=rf"7\.png.*: .*{message}"):
            make_evaluator().process(bad_inputs, bad_outputs)


def test_a_class_map_is_its_own_prediction() -> None:
    classes = torch.tensor([[0, 1], [2, 3]])
    assert predicted_classes(classes) is classes


def test_two_processes_give_exactly_the_result_of_one(
    in_two_processes: Callable[..., None], tmp_path: Path
) -> None:
    shares = [[[0, 1], [2]], [[0, 1, 2], []]]  # per run and process; the last sees no image
    in_two_processes(evaluate_shares, output_dir=str(tmp_path), shares=shares)

    alone = make_evaluator()
    expected = evaluate_seeds(alone, [0, 1, 2])
    for rank in range(2):
        runs = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert len(runs) == len(shares)
        for run in runs:
            assert torch.equal(run["matrix"], alone.confusion.matrix)
            scores = expected if rank == 0 else {}
            assert run["metrics"] == pytest.approx(scores, rel=0, abs=0, nan_ok=True)


def evaluate_shares(args: Namespace) -> None:
    """What one of the processes does: its images of every run, and the results to a file."""
    runs = []
    for share in args.shares:
        evaluator = make_evaluator()
        metrics = evaluate_seeds(evaluator, share[comm.get_rank()])
        runs.append({"matrix": evaluator.confusion.matrix, "metrics": metrics})
    torch.save(runs, Path(args.output_dir) / f"{comm.get_rank()}.pt")


def test_own_classes_have_no_named_subsets_and_all_are_scored() -> None:
    assert "mIoU_16" not in evaluate_seeds(make_evaluator(), [0])
    with pytest.raises(
        LangDGError, match="not a subset of these classes; expected a list of names"
    ):
        make_evaluator(scored_classes="16")


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_logits_that_are_not_finite_end_the_evaluation(bad: float) -> None:
    inputs, outputs = make_batch(0)
    outputs[0]["sem_seg"][1, 3, 5] = bad
    with pytest.raises(
        LangDGError, match=r"0\.png: .*not finite.*evaluation\.inference\.precision"
    ):
        make_evaluator().process(inputs, outputs)


def test_large_logits_in_half_precision_are_finite() -> None:
    logits = torch.full((4, 64, 64), 6e4, dtype=torch.float16)
    assert predicted_classes(logits).shape == (64, 64)

"""Which images are pictured, over one and two processes, and what the pictures hold."""

import logging
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from detectron2.utils import comm

from langdg_d2.evaluation import (
    Benchmark,
    BenchmarkRun,
    ConfusionMatrix,
    StreamingSemSegEvaluator,
    evaluate_domains,
)
from langdg_d2.structures import CITYSCAPES_19
from langdg_d2.utils.errors import LangDGError
from langdg_d2.visualization import OverlayWriter, draw_sem_seg, overlay_writer, palette_named
from langdg_d2.visualization.overlay_writer import choose
from langdg_d2.visualization.sem_seg import title_width

DATASET = "test_overlay_writer"
IGNORE = CITYSCAPES_19.ignore_label
SIZE = (30, 40)


def make_writer(folder: Path, **changes: Any) -> OverlayWriter:
    arguments = {"output_dir": str(folder), "dataset_name": DATASET, "classes": CITYSCAPES_19}
    return OverlayWriter(**(arguments | {"best": 2, "worst": 3} | changes))


def make_image(seed: int, size: tuple[int, int] = SIZE) -> tuple[dict[str, Any], dict[str, Any]]:
    """An image with blocks of classes; some of them and some pixels are predicted wrong."""
    rng = np.random.default_rng(seed)
    blocks = rng.choice([0, 2, 8, 10, IGNORE], (3, 4))
    wrong = np.where(rng.random((3, 4)) < rng.random(), 13, blocks % 19)
    truth, prediction = (cv2.resize(b, size[::-1], interpolation=0) for b in (blocks, wrong))
    prediction[rng.random(size) < 0.05] = 2
    image = {
        "file_name": f"x/{seed:02d}.png",
        "image_id": f"image {seed}",
        "image": torch.from_numpy(rng.integers(0, 256, (3, *size), dtype=np.uint8)),
        "sem_seg": torch.from_numpy(truth.astype(np.uint8)),
    }
    return image, {"sem_seg": torch.from_numpy(prediction)}


def feed(writer: OverlayWriter, images: list[tuple[dict, dict]]) -> list[dict[str, Any]]:
    for image, output in images:
        writer.process([image], [output])
    assert writer.evaluate() == {}
    return writer.details()["pictures"]


def slow_scores(image: dict[str, Any], output: dict[str, Any]) -> tuple[float, float]:
    """Mean IoU over the classes of the ground truth, and pixel accuracy, pixel by pixel."""
    maps = (part["sem_seg"].flatten().tolist() for part in (image, output))
    pairs = [(truth, predicted) for truth, predicted in zip(*maps, strict=True) if truth != IGNORE]
    ious = []
    for k in {truth for truth, _ in pairs}:
        both = sum(truth == predicted == k for truth, predicted in pairs)
        either = sum(k in pair for pair in pairs)
        ious.append(both / either)
    right = sum(truth == predicted for truth, predicted in pairs)
    return 100 * sum(ious) / len(ious), 100 * right / len(pairs)


def test_the_best_and_worst_are_those_of_a_slow_search(tmp_path: Path) -> None:
    images = [make_image(seed) for seed in range(25)]
    expected = sorted((*slow_scores(*one), one[0]["image_id"]) for one in images)
    assert len({score for score, *_ in expected}) == 25
    pictures = feed(make_writer(tmp_path), images)
    found = {picture["file"]: picture for picture in pictures}
    ranked = {f"worst_{k + 1}": expected[k] for k in range(3)}
    ranked |= {f"best_{k + 1}": expected[-k - 1] for k in range(2)}
    assert set(found) == {f"{DATASET}_{name}.jpg" for name in ranked}
    assert {path.name for path in tmp_path.iterdir()} == set(found)
    for name, (miou, accuracy, image) in ranked.items():
        picture = found[f"{DATASET}_{name}.jpg"]
        assert picture["image"] == image
        assert picture["kind"] == name.partition("_")[0]
        assert picture["mIoU"] == pytest.approx(miou)
        assert picture["pixel_accuracy"] == pytest.approx(accuracy)


@pytest.mark.parametrize(("best", "worst"), [(2, 3), (3, 0), (0, 2), (4, 4)])
def test_few_images_are_shared_between_both_ends(best: int, worst: int) -> None:
    for number in range(12):
        keys = [(float(k), "", 0.0, "", b"") for k in range(number)]
        names = choose(keys, best=best, worst=worst)
        assert len(names) == len(set(names.values())) == min(number, best + worst)
        ends = {
            kind: [key for name, key in names.items() if name.startswith(kind)]
            for kind in ("best", "worst")
        }
        assert ends["worst"] == keys[: len(ends["worst"])]
        assert ends["best"] == keys[::-1][: len(ends["best"])]
        if best == worst:
            assert 0 <= len(ends["worst"]) - len(ends["best"]) <= 1


def test_only_scored_classes_count(tmp_path: Path) -> None:
    right, wrong = make_image(1)[0], make_image(2)[0]
    for image, predicted in ((right, 1), (wrong, 13)):
        quarters = torch.ones(SIZE[0] // 2, SIZE[1] // 2, dtype=torch.uint8)
        image["sem_seg"] = torch.kron(torch.tensor([[0, 0], [1, 1]]), quarters)
        image["prediction"] = {
            "sem_seg": torch.kron(torch.tensor([[0, 0], [predicted, 1]]), quarters)
        }
    pairs = [(image, image["prediction"]) for image in (right, wrong)]
    of_road = feed(make_writer(tmp_path, scored_classes=["road"]), pairs)
    assert [picture["mIoU"] for picture in of_road] == [100, 100]
    of_all = feed(make_writer(tmp_path), pairs)
    assert sorted(picture["mIoU"] for picture in of_all) == [75, 100]


def test_images_without_scored_pixels_are_left_out(tmp_path: Path) -> None:
    image, output = make_image(0)
    image["sem_seg"][:] = IGNORE
    assert feed(make_writer(tmp_path / "none"), [(image, output)]) == []
    assert not list(tmp_path.glob("**/*.jpg"))


def test_a_round_replaces_the_pictures_of_the_one_before(tmp_path: Path) -> None:
    writer = make_writer(tmp_path)
    assert len(feed(writer, [make_image(seed) for seed in range(9)])) == 5
    writer.reset()
    (picture,) = feed(writer, [make_image(9)])
    assert [path.name for path in tmp_path.iterdir()] == [picture["file"]]
    assert picture["image"] == "image 9"


def test_without_a_picture_asked_for_there_is_no_file(tmp_path: Path) -> None:
    assert feed(make_writer(tmp_path / "none", best=0, worst=0), [make_image(0)]) == []
    assert not list(tmp_path.glob("**/*.jpg"))
    with pytest.raises(LangDGError, match="best -1 and worst 3"):
        make_writer(tmp_path, best=-1)


@pytest.mark.parametrize("size", [(60, 90), (90, 60)])
def test_a_picture_holds_image_truth_and_prediction(tmp_path: Path, size: tuple[int, int]) -> None:
    image, output = make_image(3, size)
    # As smooth as JPEG likes it.
    flat = torch.tensor([40, 120, 200], dtype=torch.uint8)[:, None, None]
    image["image"] = flat.expand(3, *size)
    palette = palette_named("colorblind", CITYSCAPES_19)
    writer = make_writer(tmp_path, longest_side=60, palette="colorblind")
    (found,) = feed(writer, [(image, output)])
    picture = cv2.imread(str(tmp_path / found["file"]))[..., ::-1]

    height, width = (side * 2 // 3 for side in size)
    strip = 12
    rgb = np.broadcast_to(flat[:, 0, 0].numpy(), (height, width, 3))
    labels = [cv2.resize(x["sem_seg"].numpy(), (width, height), interpolation=0)
              for x in (image, output)]  # fmt: skip
    expected = [rgb, *(draw_sem_seg(rgb, k, palette.metadata) for k in labels)]
    top, left = 0, 0
    titles = ("image", "ground truth", "prediction")
    for title, panel in zip(titles, expected, strict=True):
        part = picture[top + strip : top + strip + height, left : left + width]
        assert part.shape == panel.shape
        difference = np.abs(part.astype(float) - panel)
        assert difference.mean() < 8
        if width > height:
            top += strip + height + 4
        else:
            left += max(width, title_width(title, strip)) + 4
    assert writer.details()["colors"]["road"] == list(palette.colors[0])


def test_what_cannot_be_drawn_or_saved_ends_no_evaluation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    with caplog.at_level(logging.ERROR):
        assert feed(make_writer(tmp_path / "file"), [make_image(0)]) == []
    assert "Cannot save pictures" in caplog.text

    def fail(*_: object) -> None:
        raise RuntimeError("no font")

    monkeypatch.setattr(overlay_writer, "draw_sem_seg", fail)
    with caplog.at_level(logging.ERROR):
        assert feed(make_writer(tmp_path), [make_image(0)]) == []
    assert "Cannot draw 'x/00.png'" in caplog.text


def make_scores() -> StreamingSemSegEvaluator:
    return StreamingSemSegEvaluator(
        dataset_name=DATASET, class_names=CITYSCAPES_19.names, ignore_label=IGNORE
    )


def benchmark(folder: Path, seeds: list[int]) -> None:
    """Score this process's images, and write all files."""
    images = {seed: make_image(seed) for seed in seeds}
    loader = [[image | {"seed": seed}] for seed, (image, _) in images.items()]
    scored = Benchmark(
        run=BenchmarkRun(protocol="full"),
        domains=["fog"],
        loaders={"fog": lambda: loader},
        evaluators={"fog": lambda: [make_scores(), make_writer(folder / "overlays")]},
    )
    scored.run(lambda batch: [images[batch[0]["seed"]][1]], folder)


def test_evaluators_of_a_domain_count_an_image_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = []
    update = ConfusionMatrix.update
    monkeypatch.setattr(
        ConfusionMatrix, "update", lambda *maps: counted.append(maps) or update(*maps)
    )
    (image, _), (other, output) = make_image(1), make_image(2)
    scores, writer = make_scores(), make_writer(tmp_path)
    # The model returns one and the same dict for both images.
    evaluate_domains(lambda batch: [output], {"fog": [[image], [other]]}, {"fog": [scores, writer]})
    assert len(counted) == 2
    found = {one["image"]: one["mIoU"] for one in writer.details()["pictures"]}
    expected = {one["image_id"]: slow_scores(one, output)[0] for one in (image, other)}
    assert found == pytest.approx(expected)
    assert {one.image: one.mean_iou for one in scores.images} == pytest.approx(expected)


def test_two_processes_leave_the_files_of_one(
    in_two_processes: Callable[..., None], tmp_path: Path
) -> None:
    in_two_processes(benchmark_shares, output_dir=str(tmp_path / "two"))
    benchmark(tmp_path / "one", list(range(11)))
    files = [path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*")]
    assert len(files) == 5 + 5
    for file in files:
        if file.name != "benchmark.json":  # tells the time and the number of processes
            assert (tmp_path / "two" / file).read_bytes() == (tmp_path / "one" / file).read_bytes()
    assert len(list((tmp_path / "two/overlays").iterdir())) == 5


def benchmark_shares(args: Namespace) -> None:
    """What one of the processes does; the best and worst images lie with both."""
    benchmark(Path(args.output_dir), list(range(11))[comm.get_rank() :: 2])

"""Prediction files of images without labels, beside scores of those that have some."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.config import LazyConfig, instantiate
from detectron2.engine import default_argument_parser
from PIL import Image

from langdg_d2.data.datasets import DatasetError
from langdg_d2.engine import apply_overrides
from langdg_d2.structures import CITYSCAPES_19
from langdg_d2.utils.errors import LangDGError
from langdg_d2.visualization import Predictor

CONFIG = str(Path(__file__).parents[2] / "configs/langdg_gta5.py")
NAME = "berlin/berlin_000000_000019_leftImg8bit.png"


@pytest.fixture
def unlabelled_image(datasets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An image of Cityscapes' test set, in a root with all other sets."""
    root = tmp_path / "data"
    (root / "cityscapes/leftImg8bit").mkdir(parents=True)
    for other in datasets.iterdir():
        if other.name != "cityscapes":
            (root / other.name).symlink_to(other)
    for folder in ("gtFine", "leftImg8bit/val", "leftImg8bit/train"):
        (root / "cityscapes" / folder).symlink_to(datasets / "cityscapes" / folder)
    image = root / "cityscapes/leftImg8bit/test" / NAME
    image.parent.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(image)
    monkeypatch.setenv("DETECTRON2_DATASETS", str(root))
    return image


@pytest.fixture
def overrides(tiny_model: list[str]) -> list[str]:
    return [*tiny_model, "train.device=cpu", "model.backbone.tower.weights=null"]


@pytest.fixture
def checkpoint(overrides: list[str], tmp_path: Path) -> str:
    model = instantiate(apply_overrides(LazyConfig.load(CONFIG), overrides).model)
    torch.save({"model": model.state_dict()}, tmp_path / "model.pth")
    return str(tmp_path / "model.pth")


@pytest.fixture
def evaluate(
    load_tool: Callable, overrides: list[str], checkpoint: str, tmp_path: Path
) -> Callable[..., Path]:
    """Function that evaluates a tiny model; returns the folder of the results."""

    def run(*changes: str) -> Path:
        out = tmp_path / "out"
        options = ["--config-file", CONFIG, "--num-gpus", "0", "--eval-only", *overrides]
        options += [f"train.init_checkpoint={checkpoint}", f"train.output_dir={out}"]
        load_tool("train_net").main(default_argument_parser().parse_args([*options, *changes]))
        return out

    return run


@pytest.fixture
def expected(checkpoint: str, overrides: list[str]) -> Callable[[Path], np.ndarray]:
    """Function that gives the train ids that a predictor gives an image."""
    predictor = Predictor.from_config(CONFIG, checkpoint, overrides)
    return lambda file: predictor(file).classes


def test_a_test_set_gets_files_under_the_servers_names_and_no_scores(
    evaluate: Callable[..., Path],
    expected: Callable[[Path], np.ndarray],
    unlabelled_image: Path,
) -> None:
    out = evaluate("evaluation.domains=[cityscapes_test]", "evaluation.predictions=label_ids")
    (file,) = (out / "predictions").rglob("*.png")
    assert file.name == Path(NAME).name  # begins with <city>_<sequence>_<frame>
    ids = np.array(CITYSCAPES_19.ids)[expected(unlabelled_image)]
    assert np.array_equal(np.asarray(Image.open(file)), ids)
    assert not (out / "benchmark.json").exists()
    assert not (out / "report.html").exists()
    folder = out / "predictions/cityscapes_sem_seg_test"
    line = f"cityscapes_sem_seg_test: 1 predictions as 'label_ids' in '{folder}'"
    assert line in (out / "log.txt").read_text()


def test_labelled_sets_beside_it_are_scored(
    evaluate: Callable[..., Path], unlabelled_image: Path
) -> None:
    domains = "evaluation.domains=[cityscapes_test,cityscapes]"
    out = evaluate(domains, "evaluation.predictions=train_ids")
    record = json.loads((out / "benchmark.json").read_text())
    assert list(record["results"]) == ["cityscapes", "mean"]
    assert record["sets"] == {
        "cityscapes": "4 of 500 images, 48x64 instead of 1024x2048, some in 'ulm'"
    } | {k: v for k, v in record["sets"].items() if k == "cityscapes_test"}
    assert len(list((out / "predictions").rglob("*.png"))) == 5


@pytest.mark.parametrize("wanted", ["scores", "overlays", "predictions", "all", "none"])
def test_scores_overlays_and_predictions_are_switched_one_by_one(
    evaluate: Callable[..., Path], unlabelled_image: Path, wanted: str
) -> None:
    values = {"scores": ("True", "False"), "overlays": ("True", "False"),
              "predictions": ("color", "null")}  # fmt: skip
    changes = [
        f"evaluation.{key}={on if wanted in (key, 'all') else off}"
        for key, (on, off) in values.items()
    ]
    domains = "evaluation.domains=[cityscapes]"
    if wanted == "none":
        with pytest.raises(LangDGError, match="'cityscapes', which has no labels or is not"):
            evaluate(domains, *changes)
        return
    out = evaluate(domains, *changes)
    assert (out / "benchmark.json").exists() == (wanted in ("scores", "all"))
    assert bool(list(out.rglob("overlays/*.jpg"))) == (wanted in ("overlays", "all"))
    assert bool(list(out.rglob("predictions/**/*.png"))) == (wanted in ("predictions", "all"))


def test_a_folder_of_any_images_gets_files(
    evaluate: Callable[..., Path], expected: Callable[[Path], np.ndarray], unlabelled_image: Path
) -> None:
    folder = unlabelled_image.parents[1]
    out = evaluate(
        "evaluation.domains=[folder]",
        f"evaluation.folder={folder}",
        "evaluation.predictions=train_ids",
    )
    file = out / "predictions/folder" / NAME
    assert np.array_equal(np.asarray(Image.open(file)), expected(unlabelled_image))


def test_a_folder_has_to_be_named(evaluate: Callable[..., Path]) -> None:
    with pytest.raises(DatasetError, match="needs evaluation.folder=FOLDER"):
        evaluate("evaluation.domains=[folder]", "evaluation.predictions=train_ids")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            [],
            "'cityscapes_test', which has no labels or is not scored: set "
            "evaluation.predictions to one of train_",
        ),
        (
            ["evaluation.predictions=label_ids", "evaluation.source=cityscapes_test"],
            "evaluation.source has 'cityscapes_test', which has no labels",
        ),
        (
            ["evaluation.predictions=label_ids", "evaluation.groups.acdc=[cityscapes_test]"],
            "evaluation.groups.acdc has 'cityscapes_test', which has no labels",
        ),
    ],
)
def test_what_needs_labels_is_refused_at_once(
    evaluate: Callable[..., Path], unlabelled_image: Path, changes: list[str], message: str
) -> None:
    with pytest.raises(LangDGError, match=message):
        evaluate("evaluation.domains=[cityscapes_test]", *changes)


def test_logits_that_are_not_finite_end_it_with_the_images_name(
    evaluate: Callable[..., Path], checkpoint: str, unlabelled_image: Path
) -> None:
    weights = torch.load(checkpoint, weights_only=True)
    weights["model"]["sem_seg_head.predict.weight"][0] = torch.finfo(torch.float32).max
    torch.save(weights, checkpoint)
    for domain, name in {"cityscapes": "ulm_000000", "cityscapes_test": "berlin_000000"}.items():
        with pytest.raises(LangDGError, match=rf"{name}_000019_leftImg8bit\.png.*are not finite"):
            evaluate(f"evaluation.domains=[{domain}]", "evaluation.predictions=label_ids")


def test_names_that_are_not_utf8_end_nothing(
    evaluate: Callable[..., Path], write_datasets: Callable[..., Path], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    root = write_datasets(tmp_path / "foreign", images=1)
    for folder, end in {"images": ".jpg", "labels": "_train_id.png"}.items():
        (file,) = (root / "bdd100k/seg" / folder / "val").iterdir()
        os.rename(file, os.fsencode(file.parent) + b"/stra\xdfe" + end.encode())
    monkeypatch.setenv("DETECTRON2_DATASETS", str(root))
    out = evaluate("evaluation.domains=[bdd100k]", "evaluation.predictions=train_ids")
    for file in ("images.csv", "details.json", "report.html"):
        assert "stra\\udcdfe" in (out / file).read_text(encoding="utf-8").replace("\\\\", "\\"), (
            file
        )
    (written,) = (out / "predictions").rglob("*.png")
    assert os.fsencode(written.name) == b"stra\xdfe.png"

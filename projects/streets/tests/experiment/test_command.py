"""The command from nothing to tables and pictures, and once more."""

import json
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

_COMMAND = Path(__file__).resolve().parents[2] / "experiment.py"


@pytest.fixture(scope="module")
def main() -> Callable[[list[str]], None]:
    """The command's entry point."""
    return runpy.run_path(str(_COMMAND))["main"]


def test_two_cells_from_nothing_to_pictures_and_nothing_is_done_twice(
    main: Callable[[list[str]], None],
    tiny: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("DETECTRON2_DATASETS", "")  # the command sets it
    out = tmp_path / "out"
    cells = ["--cells", "source_styles", "oracle", "--seeds", "1", "--iterations", "4"]
    scenes = ["--size", "64x128", "--train", "8", "--val", "1", "--targets", "1", "--validation"]
    main(["--output", str(out), *cells, *scenes, "--set", *tiny])

    table = json.loads((out / "validation/table.json").read_text())["cells"]
    assert list(table) == ["source_styles", "oracle"]
    looks = ["smoggy_industry", "wet_evening", "mean of unseen", "clear (source)"]
    for name, folder in (("source_styles", "source_styles"), ("oracle", "oracle_validation")):
        record = json.loads((out / folder / "seed1/validation/benchmark.json").read_text())
        scores = [record["results"][d]["sem_seg"]["mIoU"] for d in ("idd", "dark_zurich", "mean")]
        assert list(table[name]["mIoU"]) == looks
        assert [table[name]["mIoU"][look]["mean"] for look in looks[:3]] == scores
        assert table[name]["training_seconds"]["mean"] > 0
    assert len(list((out / "banks").glob("*.safetensors"))) == 1
    assert not (out / "datasets/acdc").exists()
    for picture in ("mean.png", "looks.png", "predictions.png"):
        assert Image.open(out / "validation" / picture).size[0] > 400
    assert "smoggy_industry" in capsys.readouterr().out

    logs = {log: log.read_bytes() for log in out.rglob("*.out")}
    assert len(logs) == 7  # two drawings, a mining, two trainings and scorings
    main(["--output", str(out), *cells, *scenes, "--set", *tiny])
    assert {log: log.read_bytes() for log in out.rglob("*.out")} == logs
    with pytest.raises(SystemExit, match=r"other settings \(.*max_iter: 4 there, 5 wanted"):
        main(["--output", str(out), *cells, *scenes, "--iterations", "5", "--set", *tiny])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cells", "nothing"], "no cell is called"),
        (["--set", "train.max_iters=3"], "no key 'train.max_iters'"),
        (
            [
                *("--train", "-1", "--seeds", "1", "--cells", "freeze_nothing_no_restyling"),
                *("--set", "model.backbone.tower.weights=null"),
            ],
            "train is -1",
        ),
    ],
)
def test_wrong_usage_is_explained(
    main: Callable[[list[str]], None], tmp_path: Path, arguments: list[str], message: str
) -> None:
    with pytest.raises(SystemExit, match=message):
        main(["--output", str(tmp_path), *arguments])

"""The command from nothing to tables and pictures, once more, and after it was stopped."""

import json
import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from PIL import Image

pytestmark = pytest.mark.usefixtures("_forked_tools")
COMMAND = Path(__file__).resolve().parents[2] / "experiment.py"
SCENES = ["--size", "64x128", "--train", "8", "--val", "1", "--targets", "1", "--validation"]
SCENES += ["--workers", "1"]  # whose start takes longer than their work


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[str]], None]:
    """The command's entry point."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("DETECTRON2_DATASETS", "")  # the command sets it
    return runpy.run_path(str(COMMAND))["main"]


def test_experiment_runs_to_pictures_and_skips_finished_runs(
    main: Callable[[list[str]], None],
    tiny: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    variants = ["--cells", "source_styles", "oracle", "--seeds", "1"]
    arguments = ["--output", str(out), *variants, *SCENES, "--set", *tiny, "train.max_iter=4"]
    main(arguments)

    rows = pd.read_csv(out / "table.csv", index_col="cell")
    assert list(rows.index) == ["source_styles", "oracle"]
    for name, row in rows.iterrows():
        record = json.loads((out / name / "seed1/scores/benchmark.json").read_text())
        titles = ["smoggy_industry", "wet_evening", "mean of unseen", "clear (source)"]
        keys = ["idd", "dark_zurich", "mean", "gta5"]
        scores = [record["results"][key]["sem_seg"]["mIoU_detectron2"] for key in keys]
        assert row[titles].to_list() == pytest.approx(scores, rel=1e-15)
    assert len(list((out / "banks").glob("*.safetensors"))) == 1
    assert not (out / "datasets/acdc").exists()
    for picture in ("mean.png", "looks.png", "predictions.png"):
        assert Image.open(out / picture).size[0] > 400
    printed = capsys.readouterr().out
    assert printed.count("is done") == 5  # a mining, two trainings and scorings
    assert "| smoggy_industry |" in " ".join(printed.split())

    logs = {log: log.read_bytes() for log in out.rglob("*.out")}
    assert len(logs) == 5
    main(arguments)
    assert {log: log.read_bytes() for log in out.rglob("*.out")} == logs
    with pytest.raises(SystemExit, match=r"other settings \(.*max_iter: found 4, expected 5"):
        main([*arguments[:-1], "train.max_iter=5"])


def test_stopped_experiment_resumes_exactly(
    main: Callable[[list[str]], None], tiny: list[str], tmp_path: Path
) -> None:
    def arguments(name: str) -> list[str]:
        settings = [*tiny, "train.max_iter=60", "train.checkpointer.period=2"]
        output = ["--output", str(tmp_path / name)]
        return [*output, *SCENES, "--seeds", "1", "--cells", "noise_styles", "--set", *settings]

    run = tmp_path / "stopped/noise_styles/seed1"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(COMMAND), *arguments("stopped")]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    while not (run / "last_checkpoint").exists():
        assert process.poll() is None
        time.sleep(0.05)
    with pytest.raises(SystemExit, match="another experiment"):
        main(arguments("stopped"))
    process.send_signal(signal.SIGTERM)
    assert "the same command goes on from here" in process.communicate()[1]
    assert not (run / "model_final.pth").exists()
    for name in ("stopped", "unbroken"):
        main(arguments(name))
    logged = (run / "metrics.json").read_text().splitlines()
    assert len(logged) < 80  # it has not begun anew
    files = [tmp_path / f"{name}/noise_styles/seed1" for name in ("stopped", "unbroken")]
    weights = [torch.load(f / "model_final.pth", weights_only=True)["model"] for f in files]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    records = [json.loads((file / "scores/benchmark.json").read_text()) for file in files]
    assert records[0]["results"] == records[1]["results"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "train.max_iters=3"], "no key 'train.max_iters'"),
        (["--set", "model.backbone.tower.weights=nowhere.safetensors"], "nowhere.safetensors"),
        (["--train", "-1"], "train is -1"),
    ],
)
def test_wrong_usage_is_explained(
    main: Callable[[list[str]], None], tmp_path: Path, arguments: list[str], message: str
) -> None:
    with pytest.raises(SystemExit, match=message):
        main(["--output", str(tmp_path), *arguments])


def test_misspelt_variant_is_refused_with_those_there_are(
    main: Callable[[list[str]], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["--output", str(tmp_path), "--cells", "nothing"])
    assert "choose from 'freeze_nothing_no_restyling'" in capsys.readouterr().err

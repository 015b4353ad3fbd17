"""What is done is kept, what is not is done, and settings are never mixed."""

import asyncio
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from streets.experiment import runs
from streets.experiment.runs import Experiment, Run, execute, locked
from streets.experiment.variants import RECIPE_VARIANTS, VARIANTS

from langdg_d2.utils.errors import LangDGError

MakeExperiment = Callable[..., Experiment]

# Stands for the tools: notes its arguments, and writes the file that the real one would write.
TOOL = """
import os, pathlib, sys
name, *arguments = sys.argv
*_, folder = arguments
folder = pathlib.Path(folder.removeprefix("train.output_dir="))
folder.mkdir(parents=True, exist_ok=True)
kind = "scoring" if "--eval-only" in arguments else pathlib.Path(name).stem
result = {"mine_styles": folder.with_suffix(".safetensors"), "scoring": folder / "benchmark.json"}
result.get(kind, folder / "model_final.pth").touch()
with open(os.environ["NOTES"], "a") as notes:
    print(kind, os.environ["DETECTRON2_DATASETS"], *arguments, file=notes)
"""


def make_run(experiment: Experiment, variant: str = "full", seed: int = 1) -> Run:
    return Run(experiment, VARIANTS[variant], seed)


def leave(file: Path, text: str = "") -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def finish(*found: Run, after_each: Callable[[], object] = str, workers: int = 2) -> None:
    with locked(found[0].experiment.output) as lock:
        asyncio.run(execute(found, workers=workers, lock=lock, after_each=after_each))


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[list[str]]]:
    """Replaces the tools; a function that gives the words of their commands since its last call."""
    for name in ("mine_styles", "train_net"):
        leave(tmp_path / f"tools/{name}.py", TOOL)
    notes = tmp_path / "notes"
    monkeypatch.setattr(runs, "PROJECT", tmp_path / "projects/streets")
    monkeypatch.setenv("NOTES", str(notes))

    def called() -> list[list[str]]:
        lines = notes.read_text().splitlines() if notes.exists() else []
        notes.unlink(missing_ok=True)
        return [line.split() for line in lines]

    return called


def test_run_continues_from_its_files(
    make_experiment: MakeExperiment, commands: Callable[[], list[list[str]]]
) -> None:
    run = make_run(make_experiment())
    final = run.folder / "model_final.pth"
    finish(run)
    mining, training, scoring = commands()
    assert [mining[0], training[0], scoring[0]] == ["mine_styles", "train_net", "scoring"]
    assert f"styles.bank={run.bank}" in mining
    assert {"--resume", f"styles.bank={run.bank}", f"train.output_dir={run.folder}"} < {*training}
    assert {f"train.init_checkpoint={final}", f"train.output_dir={run.scores}"} < {*scoring}
    finish(run)
    assert commands() == []
    (run.scores / "benchmark.json").unlink()
    finish(run)
    assert [command[0] for command in commands()] == ["scoring"]
    (run.scores / "benchmark.json").unlink()
    final.unlink()
    finish(run)
    assert [command[0] for command in commands()] == ["train_net", "scoring"]


def test_oracle_trains_and_is_scored_on_different_scenes(
    make_experiment: MakeExperiment, commands: Callable[[], list[list[str]]]
) -> None:
    experiment = make_experiment()
    finish(make_run(experiment, "oracle"))
    (_, trained_on, *_), (_, scored_on, *_) = commands()
    assert [scored_on, trained_on] == list(map(str, experiment.collections))


def test_runs_that_mine_alike_wait_for_one_mining(
    make_experiment: MakeExperiment, commands: Callable[[], list[list[str]]]
) -> None:
    experiment, ended = make_experiment(), []
    found = [make_run(experiment, name) for name in ("full", "no_mixing", "freeze_nothing")]
    finish(*found, after_each=lambda: ended.append(None), workers=3)
    kinds = sorted(command[0] for command in commands())
    assert kinds == ["mine_styles", *["scoring"] * 3, *["train_net"] * 3]
    assert len(ended) == 3


@pytest.mark.parametrize(
    ("override", "train", "named"),
    [
        ("optimizer.lr=0.05", 16, "optimizer.lr: found 0.1, expected 0.05"),
        (
            "styles.mining.miner.pin.lr=0.5",
            16,
            r"styles.mining.miner.pin.lr: found 1.0, expected 0.5",
        ),
        ("train.device=cpu", 24, "scenes.train: found 16, expected 24"),
    ],
)
def test_other_settings_are_named(
    make_experiment: MakeExperiment, override: str, train: int, named: str
) -> None:
    run = make_run(make_experiment("train.device=cpu"))
    leave(run.folder / "settings.json", json.dumps(run.settings))
    assert not make_run(make_experiment("train.device=cpu")).difference
    other = make_experiment("train.device=cpu", override, train=train)
    assert make_run(other).difference == named
    assert not make_run(other, seed=2).difference


def test_other_looks_are_other_settings(make_experiment: MakeExperiment) -> None:
    run = make_run(make_experiment())
    leave(run.folder / "settings.json", json.dumps(run.settings))
    assert "evaluation.domains" in make_run(make_experiment(validation=True)).difference


def test_results_without_settings_are_refused(make_experiment: MakeExperiment) -> None:
    run = make_run(make_experiment())
    leave(run.folder / "model_final.pth")
    assert run.difference == "no settings.json says which"


def test_runs_that_mine_alike_share_a_bank(make_experiment: MakeExperiment) -> None:
    experiment = make_experiment()
    banks = {name: make_run(experiment, name).bank for name in RECIPE_VARIANTS}
    alike = {"full", "full_adamw", "no_mixing", "freeze_nothing", "half_restyled_adamw"}
    assert len({banks[name] for name in alike}) == 1
    assert banks["source_styles"] == banks["freeze_low_half_restyled_source_styles_adamw"]
    assert banks["more_styles"] == banks["more_styles_adamw"]
    assert len({bank for bank in banks.values() if bank}) == 6
    for name in ("noise_styles", "oracle", "no_restyling", "freeze_low_no_restyling_adamw"):
        assert banks[name] is None
    assert make_run(experiment, seed=2).bank != banks["full"]


def test_folder_is_held_until_its_last_process_ends(tmp_path: Path) -> None:
    with locked(tmp_path) as lock:
        left = subprocess.Popen(["sleep", "60"], pass_fds=[lock])
        with pytest.raises(LangDGError, match="another experiment"), locked(tmp_path):
            pass
    with pytest.raises(LangDGError, match="one of its commands"), locked(tmp_path):
        pass
    left.kill()
    left.wait()
    with locked(tmp_path):
        pass


def test_failed_mining_ends_only_its_runs(
    make_experiment: MakeExperiment,
    commands: Callable[[], list[list[str]]],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    leave(tmp_path / "tools/mine_styles.py", "raise SystemExit('too few images')")
    experiment, ended = make_experiment(), []
    found = [make_run(experiment, name) for name in ("full", "no_mixing", "noise_styles")]
    finish(*found, after_each=lambda: ended.append(None))
    assert len(ended) == 3
    assert [command[0] for command in commands()] == ["train_net", "scoring"]
    printed = capfd.readouterr().out
    assert "mine_styles failed, see" in printed
    assert "too few images" in printed
    assert f"{found[2].folder}.out" in printed

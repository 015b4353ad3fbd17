"""What is done is kept, what is not is done, and settings are never mixed."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from streets.experiment.runs import Experiment, Run, Step, execute, locked
from streets.experiment.variants import VARIANTS

from langdg_d2.utils.errors import LangDGError

MakeExperiment = Callable[..., Experiment]


def make_run(experiment: Experiment, variant: str = "full", seed: int = 1) -> Run:
    return Run(experiment, VARIANTS[variant], seed)


def step_of(run: Run) -> Step:
    step = run.next_step()
    assert step is not None
    return step


def leave(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_run_is_mined_trained_and_scored_by_what_is_there(
    make_experiment: MakeExperiment, leave_scores: Callable[..., None]
) -> None:
    run = make_run(make_experiment())
    assert step_of(run).tool == "mine_styles"
    assert f"styles.bank={run.bank}" in step_of(run).options
    leave(run.bank, "")
    training = step_of(run)
    assert training.folder == run.folder
    assert {"--resume", f"styles.bank={run.bank}"} < set(training.options)
    leave(run.folder / "model_0000024.pth", "")
    assert step_of(run) == training
    leave(run.folder / "model_final.pth", "")
    scoring = step_of(run)
    assert scoring.folder == run.scores
    assert scoring.options[:2] == [
        "--eval-only",
        f"train.init_checkpoint={run.folder / 'model_final.pth'}",
    ]
    leave_scores(run, 30.0)
    assert run.next_step() is None


def test_targets_are_not_scored_for_validation_and_training_is_shared(
    make_experiment: MakeExperiment,
) -> None:
    target, validation = experiments = [make_experiment(), make_experiment(validation=True)]
    found = [make_run(experiment) for experiment in experiments]
    assert found[0].folder == found[1].folder
    assert found[0].bank == found[1].bank
    assert found[0].settings == found[1].settings
    leave(found[1].folder / "model_final.pth", "")
    scoring = step_of(found[1])
    assert "evaluation.domains=[gta5,idd,dark_zurich]" in scoring.options
    assert scoring.folder == found[1].folder / "validation"
    oracles = [make_run(experiment, "oracle") for experiment in experiments]
    assert oracles[0].folder != oracles[1].folder
    assert [step_of(run).datasets for run in oracles] == [
        list(experiment.collections)[1] for experiment in (target, validation)
    ]


@pytest.mark.parametrize(
    ("override", "train", "named"),
    [
        ("optimizer.lr=0.05", 16, "optimizer.lr: 0.1 there, 0.05 wanted"),
        (
            "styles.mining.miner.pin.lr=0.5",
            16,
            r"styles.mining.miner.pin.lr: 1.0 there, 0.5 wanted",
        ),
        ("train.device=cpu", 24, "scenes.train: 16 there, 24 wanted"),
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


def test_settings_of_mining_matter_where_a_bank_is_needed(make_experiment: MakeExperiment) -> None:
    one, other = make_experiment(), make_experiment("styles.mining.miner.pin.lr=0.5")
    assert make_run(one, "oracle").settings == make_run(other, "oracle").settings
    assert make_run(one).settings != make_run(other).settings


def test_results_without_settings_are_refused(make_experiment: MakeExperiment) -> None:
    run = make_run(make_experiment())
    leave(run.folder / "model_final.pth", "")
    assert run.difference == "no settings.json says which"


def test_runs_that_mine_alike_share_a_bank(make_experiment: MakeExperiment) -> None:
    experiment = make_experiment()
    banks = {name: make_run(experiment, name).bank for name in VARIANTS}
    assert {name for name, bank in banks.items() if bank == banks["full"]} == {
        *("full", "full_adamw", "no_mixing", "freeze_nothing", "freeze_nothing_no_mixing")
    }
    assert {name for name, bank in banks.items() if bank == banks["source_styles"]} == {
        *("source_styles", "source_styles_adamw", "freeze_nothing_source_styles")
    }
    assert banks["more_styles"] == banks["more_styles_adamw"]
    assert len({bank for bank in banks.values() if bank}) == 6
    assert {name for name, bank in banks.items() if bank is None} == {
        *("noise_styles", "strong_noise_styles", "oracle", "no_restyling", "no_restyling_adamw"),
        *("freeze_nothing_no_restyling", "freeze_nothing_no_restyling_adamw"),
    }
    assert make_run(experiment, seed=2).bank != banks["full"]


def test_folder_is_held_until_its_last_process_ends(tmp_path: Path) -> None:
    with locked(tmp_path) as lock:
        left = subprocess.Popen(["sleep", "60"], pass_fds=[lock])
        with pytest.raises(LangDGError, match="another experiment"), locked(tmp_path):
            pass
    with pytest.raises(LangDGError, match="a command that it has left"), locked(tmp_path):
        pass
    left.kill()
    left.wait()
    with locked(tmp_path):
        pass


def test_scored_runs_of_these_settings_are_found(
    make_experiment: MakeExperiment, leave_scores: Callable[..., None]
) -> None:
    experiment, other = make_experiment(), make_experiment("optimizer.lr=0.5")
    for run in (
        make_run(experiment, "oracle"),
        make_run(experiment, "full", seed=3),
        make_run(other, "full", seed=1),
    ):
        leave_scores(run, 30.0)
    leave(experiment.output / "no_mixing/seed2/settings.json", "{}")
    found = [(run.variant.name, run.seed) for run in experiment.scored_runs()]
    assert found == [("full", 3), ("oracle", 1)]


def test_seconds_are_those_of_an_undisturbed_training(make_experiment: MakeExperiment) -> None:
    run = make_run(make_experiment())
    assert run.seconds is None
    # Iterations 10 to 19 were done twice, once on a busy machine; evaluations have no time.
    lines = [(9, 1.0), (19, 70.0), (19, 2.0), (24, 2.0), (29, 2.5)]
    texts = [json.dumps({"iteration": i, "time": t}) for i, t in lines]
    texts = [texts[0], '{"iterat', *texts[1:], json.dumps({"iteration": 30, "mIoU": 1})]
    leave(run.folder / "metrics.json", "\n".join(texts))
    assert run.seconds == pytest.approx(30 * 2)


def test_failed_mining_ends_the_runs_that_need_it_alone(
    make_experiment: MakeExperiment, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    experiment = make_experiment("styles.mining.batches.batch_size=99", "train.max_iter=1")
    ended = []
    found = [make_run(experiment, name) for name in ("full", "no_mixing", "noise_styles")]
    with locked(tmp_path) as lock:
        execute(found, workers=2, lock=lock, after_each=lambda: ended.append(None))
    assert len(ended) == 3
    printed = capfd.readouterr().out
    assert printed.count("mine_styles failed") == 1
    assert printed.count("train_net failed") == 1  # there are no scenes
    assert f"{found[2].folder}.out" in printed

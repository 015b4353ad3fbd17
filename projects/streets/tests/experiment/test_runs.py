"""What is done is kept, what is not is done, and settings are never mixed."""

import json
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch
from streets.domains import Role
from streets.experiment import plan
from streets.experiment.averaging import average_checkpoints
from streets.experiment.cells import CELLS
from streets.experiment.jobs import Job, JobFailed, Progress, run_side_by_side
from streets.experiment.lock import locked
from streets.experiment.plan import make_runs, scored_runs
from streets.experiment.runs import OtherSettings, Run
from streets.experiment.setting import Experiment

from langdg_d2.utils.errors import LangDGError

MakeExperiment = Callable[..., Experiment]
MIOUS = dict.fromkeys(("cityscapes", "acdc_fog"), 30.0)


class Recorder(Progress):
    """Remembers commands instead of running them."""

    def __init__(self) -> None:
        super().__init__(total=1, workers=1)
        self.commands: list[list[str]] = []

    def run(self, job: Job) -> float:
        self.commands.append(list(job.command))
        return 0.0


def commands_of(run: Run) -> list[list[str]]:
    recorder = Recorder()
    run.execute(recorder)
    return recorder.commands


def make_run(experiment: Experiment, cell: str = "full", seed: int = 1) -> Run:
    return Run(experiment=experiment, cell=CELLS[cell], seed=seed)


def mark_trained(run: Run) -> None:
    run.folder.mkdir(parents=True, exist_ok=True)
    torch.save({"model": {"weight": torch.zeros(2)}}, run.folder / "model_final.pth")
    (run.folder / "last_checkpoint").write_text("model_final.pth")


def test_a_run_is_trained_then_scored_and_resumes_where_it_was_cut(
    make_experiment: MakeExperiment, leave_scores: Callable[..., None]
) -> None:
    run = make_run(make_experiment())
    training, scoring = commands_of(run)
    assert "--resume" in training
    assert f"train.output_dir={run.folder}" in training
    assert f"styles.bank={run.bank}" in training
    assert "--eval-only" in scoring
    assert f"train.init_checkpoint={run.folder / 'model_final.pth'}" in scoring
    full_weight = run.weight

    (run.folder / "last_checkpoint").write_text("model_0000024.pth")
    assert len(commands_of(run)) == 2
    mark_trained(run)
    assert commands_of(run) == [scoring]
    assert 0 < run.weight < full_weight
    leave_scores(run, MIOUS, source=50.0)
    assert commands_of(run) == []
    assert run.weight == 0


def test_targets_are_never_scored_for_validation_and_training_is_shared(
    make_experiment: MakeExperiment,
) -> None:
    runs = [make_run(make_experiment(role=role)) for role in (Role.TARGET, Role.VALIDATION)]
    assert runs[0].folder == runs[1].folder
    assert runs[0].bank == runs[1].bank
    mark_trained(runs[1])
    (scoring,) = commands_of(runs[1])
    assert "evaluation.domains=[gta5,idd,dark_zurich]" in scoring
    assert f"train.output_dir={runs[1].folder / 'validation'}" in scoring
    oracles = [make_run(run.experiment, "oracle") for run in runs]
    assert oracles[0].folder != oracles[1].folder


@pytest.mark.parametrize(
    ("change", "named"),
    [("optimizer.lr=0.05", "optimizer.lr"), ("averaging.checkpoints=3", "averaging.checkpoints")],
)
def test_other_settings_are_refused_before_anything_runs(
    make_experiment: MakeExperiment, change: str, named: str
) -> None:
    commands_of(make_run(make_experiment(), seed=2))
    make_run(make_experiment(), seed=2).check()
    for seeds in ([1, 2], [2]):
        with pytest.raises(OtherSettings, match=named):
            make_runs(make_experiment(change), [CELLS["full"]], seeds)
    make_runs(make_experiment(change), [CELLS["full"]], [1])
    with pytest.raises(OtherSettings, match="train=24"):
        make_run(make_experiment(train=24), seed=2).check()


def test_banks_are_shared_by_cells_with_the_same_mining_and_seed(
    make_experiment: MakeExperiment,
) -> None:
    experiment = make_experiment()
    banks = {name: make_run(experiment, name).bank for name in CELLS}
    of_text = {
        *("full", "full_adamw", "no_mixing"),
        *("freeze_nothing", "freeze_nothing_no_mixing"),
    }
    assert {name for name, bank in banks.items() if bank == banks["full"]} == of_text
    of_source = {"source_styles", "source_styles_adamw", "freeze_nothing_source_styles"}
    assert {n for n, bank in banks.items() if bank == banks["source_styles"]} == of_source
    assert banks["more_styles"] == banks["more_styles_adamw"]
    assert len({bank for bank in banks.values() if bank}) == 6
    none = {
        *("noise_styles", "oracle", "no_restyling"),
        *("strong_noise_styles", "no_restyling_adamw"),
        *("freeze_nothing_no_restyling", "freeze_nothing_no_restyling_adamw"),
    }
    assert {name for name, bank in banks.items() if bank is None} == none
    assert make_run(experiment, seed=2).bank != banks["full"]


def test_settings_of_mining_matter_only_to_cells_that_need_a_bank(
    make_experiment: MakeExperiment,
) -> None:
    experiments = [make_experiment(), make_experiment("styles.mining.miner.pin.lr=0.5")]
    plain, full = ([make_run(e, name).facts for e in experiments] for name in ("oracle", "full"))
    assert plain[0] == plain[1]
    assert full[0] != full[1]


def test_results_without_settings_are_refused(make_experiment: MakeExperiment) -> None:
    run = make_run(make_experiment())
    mark_trained(run)
    with pytest.raises(OtherSettings, match=r"no settings\.json that says how"):
        run.check()


def test_a_folder_is_held_by_one_experiment_at_a_time(tmp_path: Path) -> None:
    with ExitStack() as first:
        first.enter_context(locked(tmp_path))
        with pytest.raises(BlockingIOError, match="another experiment is at work"):
            ExitStack().enter_context(locked(tmp_path))
    with locked(tmp_path):
        pass


def test_all_scored_runs_of_these_settings_are_found_whoever_asks(
    make_experiment: MakeExperiment, leave_scores: Callable[..., None]
) -> None:
    experiment, other = make_experiment(), make_experiment("optimizer.lr=0.5")
    scored = [make_run(experiment, "full", seed=3), make_run(experiment, "oracle", seed=1)]
    for run in (*scored, make_run(other, "full", seed=1)):
        commands_of(run)
        leave_scores(run, MIOUS, source=50.0)
    commands_of(make_run(experiment, "no_mixing", seed=2))  # not scored
    asked = [make_run(experiment, "no_restyling", seed=1)]
    found = [(run.cell.name, run.seed) for run in scored_runs(experiment, asked)]
    assert found == [("full", 3), ("oracle", 1)]


def test_seconds_are_those_of_an_undisturbed_training(make_experiment: MakeExperiment) -> None:
    run = make_run(make_experiment())
    assert run.seconds is None
    run.folder.mkdir(parents=True)
    # Iterations 10 to 19 were done twice, once on a busy machine; evaluations have no time.
    lines = [(9, 1.0), (19, 70.0), (19, 2.0), (24, 2.0), (29, 2.5)]
    texts = [json.dumps({"iteration": i, "time": t}) for i, t in lines]
    text = "\n".join([texts[0], '{"iterat', *texts[1:], json.dumps({"iteration": 30, "mIoU": 1})])
    (run.folder / "metrics.json").write_text(text)
    assert run.seconds == pytest.approx(30 * 2)


def test_the_mean_of_the_last_checkpoints_is_scored(make_experiment: MakeExperiment) -> None:
    run = make_run(make_experiment("averaging.checkpoints=2"))
    mark_trained(run)
    for k in range(3):
        weights = {"weight": torch.full((2,), float(k)), "count": torch.tensor(k)}
        torch.save({"model": weights, "iteration": k}, run.folder / f"model_000000{k}.pth")
    (scoring,) = commands_of(run)
    assert f"train.init_checkpoint={run.folder / 'averaged.pth'}" in scoring
    mean = torch.load(run.folder / "averaged.pth", weights_only=True)["model"]
    assert mean["weight"].tolist() == [1.5, 1.5]
    assert mean["count"] == 2
    assert not list(run.folder.glob("model_0*"))
    with pytest.raises(LangDGError, match="no checkpoint"):
        average_checkpoints([], run.folder / "other.pth")


def job(tmp_path: Path, code: str, title: str = "job") -> Job:
    command = [sys.executable, "-c", code]
    return Job(title=title, command=command, log=tmp_path / f"{title}.out", weight=1.0)


def test_a_command_that_fails_is_reported_with_its_output_and_the_others_go_on(
    tmp_path: Path,
) -> None:
    progress = Progress(total=3, workers=2)
    codes = {"good": "print('fine')", "bad": "raise SystemExit('no luck')", "last": "print('on')"}
    jobs = {title: job(tmp_path, code, title) for title, code in codes.items()}
    done = []
    failures = run_side_by_side(
        {title: lambda one=one: progress.run(one) for title, one in jobs.items()},
        workers=2,
        progress=progress,
        after_each=lambda: done.append(None),
    )
    assert set(failures) == {"bad"}
    assert "no luck" in str(failures["bad"])
    assert len(done) == 2
    assert (tmp_path / "last.out").read_text() == "on\n"


def test_stopping_ends_what_runs_and_begins_nothing_more(tmp_path: Path) -> None:
    progress = Progress(total=2, workers=1)
    threading.Timer(0.3, progress.stop).start()
    started = time.monotonic()
    with pytest.raises(JobFailed):
        progress.run(job(tmp_path, "import time; time.sleep(60)"))
    assert time.monotonic() - started < 20
    with pytest.raises(JobFailed, match="not begun"):
        progress.run(job(tmp_path, "print('never')", "other"))
    assert not (tmp_path / "other.out").exists()


def test_styles_of_a_seed_are_mined_after_the_runs_of_the_seed_before(
    make_experiment: MakeExperiment, tmp_path: Path
) -> None:
    experiment = make_experiment()
    cells = [CELLS[name] for name in ("no_restyling", "source_styles", "no_mixing", "full")]
    runs = make_runs(experiment, cells, [1, 2])
    minings = {run.bank: job(tmp_path, "", f"mining {run.bank.stem}") for run in runs if run.bank}
    names = list(plan.make_tasks(runs, minings, Recorder()))
    banks = [run.bank and f"mining {run.bank.stem}" for run in runs]
    assert len(names) == len(set(names)) == 2 * (len(cells) + 2)
    for run, bank in zip(runs, banks, strict=True):
        assert bank is None or names.index(bank) < names.index(run.name)
    assert names.index(banks[-1]) > names.index(runs[len(cells) - 1].name)


def test_a_run_whose_styles_could_not_be_mined_is_not_begun(
    make_experiment: MakeExperiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(make_experiment())
    mining = job(tmp_path, "raise SystemExit('no patches')", "mining")
    monkeypatch.setattr(plan, "_drawings", lambda *_: [])
    monkeypatch.setattr(plan, "_minings", lambda *_: {run.bank: mining})
    failures = plan.execute([run], workers=2, after_each=lambda: None)
    assert set(failures) == {"mining", run.name}
    assert "no patches" in str(failures["mining"])
    assert "styles were not mined" in str(failures[run.name])
    assert not run.folder.exists()


def test_missing_weights_of_clip_are_named(make_experiment: MakeExperiment) -> None:
    experiment = make_experiment("model.backbone.tower.weights=nowhere.safetensors")
    with pytest.raises(FileNotFoundError, match=r"nowhere\.safetensors.*train_clip"):
        make_runs(experiment, [CELLS["full"]], [1])

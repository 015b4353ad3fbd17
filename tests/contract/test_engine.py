"""Trainers, hooks and the defaults of programs, on whichever Detectron2 is installed."""

import argparse
import gc
import json
import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import LazyConfig
from detectron2.engine import (
    AMPTrainer,
    HookBase,
    SimpleTrainer,
    TrainerBase,
    create_ddp_model,
    default_argument_parser,
    default_setup,
    default_writers,
    hooks,
)
from detectron2.utils.events import EventWriter, get_event_storage
from detectron2.utils.logger import setup_logger
from fvcore.common.param_scheduler import LinearParamScheduler
from omegaconf import OmegaConf
from torch import nn


@pytest.fixture(autouse=True)
def _propagate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the log reach pytest even if another test has called setup_logger."""
    monkeypatch.setattr(logging.getLogger("detectron2"), "propagate", True)


@pytest.fixture
def _restore_logging() -> Iterator[None]:
    """Take away what default_setup adds to the loggers."""
    loggers = [logging.getLogger(name) for name in ("detectron2", "fvcore")]
    before = [(logger, list(logger.handlers), logger.level, logger.propagate) for logger in loggers]
    yield
    for logger, handlers, level, propagate in before:
        logger.handlers[:] = handlers
        logger.setLevel(level)
        logger.propagate = propagate
    setup_logger.cache_clear()


class Weight(nn.Module):
    """loss = weight · data, so that the gradient is the data."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(1.0))

    def forward(self, data: float) -> dict[str, torch.Tensor]:
        return {"loss_a": self.weight * data, "loss_b": self.weight.detach() * 0 + 0.5}


def make_trainer(
    data: Any = (2.0,) * 20, trainer: type[SimpleTrainer] = SimpleTrainer, **kwargs: Any
) -> SimpleTrainer:
    """A trainer of a Weight by SGD with rate 0.1."""
    model = Weight()
    return trainer(model, data, torch.optim.SGD(model.parameters(), lr=0.1), **kwargs)


class Recorder(HookBase):
    """Writes down which of its methods was called at which iteration."""

    def __init__(self, calls: list[tuple[str, int]]) -> None:
        self.calls = calls

    def before_train(self) -> None:
        self.calls.append(("before_train", self.trainer.iter))

    def after_train(self) -> None:
        self.calls.append(("after_train", self.trainer.iter))

    def before_step(self) -> None:
        self.calls.append(("before_step", self.trainer.storage.iter))

    def after_backward(self) -> None:
        self.calls.append(("after_backward", self.trainer.iter))

    def after_step(self) -> None:
        self.calls.append(("after_step", self.trainer.iter))


class Stateful(HookBase):
    """A hook with state."""

    def __init__(self, value: int = 0) -> None:
        self.value = value

    def state_dict(self) -> dict[str, int]:
        return {"value": self.value}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.value = state["value"]


# the loop


def test_hooks_are_called_around_every_step_in_order() -> None:
    calls: list[tuple[str, int]] = []
    trainer = make_trainer()
    trainer.register_hooks([None, Recorder(calls)])
    trainer.train(3, 5)
    steps = [(name, i) for i in (3, 4) for name in ("before_step", "after_backward", "after_step")]
    assert calls == [("before_train", 3), *steps, ("after_train", 5)]
    assert (trainer.start_iter, trainer.max_iter, trainer.iter) == (3, 5, 5)
    assert trainer.storage.iter == 5


def test_a_failed_step_is_logged_raised_and_followed_by_after_train(
    caplog: pytest.LogCaptureFixture,
) -> None:
    calls: list[tuple[str, int]] = []
    trainer = make_trainer(data=[1.0])
    trainer.register_hooks([Recorder(calls)])
    with caplog.at_level(logging.INFO), pytest.raises(StopIteration):
        trainer.train(0, 3)
    assert calls[-2:] == [("before_step", 1), ("after_train", 1)]
    assert "Exception during training" in caplog.text
    assert "Starting training from iteration 0" in caplog.text


def test_hooks_hold_their_trainer_weakly_and_must_be_hooks() -> None:
    trainer, hook = make_trainer(), Stateful()
    trainer.register_hooks([hook])
    assert hook.trainer.iter == 0
    del trainer
    gc.collect()
    with pytest.raises(ReferenceError):
        _ = hook.trainer.iter
    with pytest.raises(AssertionError):
        make_trainer().register_hooks([object()])


def test_the_base_trainer_leaves_the_step_open() -> None:
    with pytest.raises(NotImplementedError):
        TrainerBase().train(0, 1)


def test_a_step_descends_along_the_gradient_of_the_sum_of_losses() -> None:
    trainer = make_trainer(data=[2.0, -3.0])
    trainer.train(0, 2)
    assert trainer.model.weight.item() == pytest.approx(1 - 0.1 * 2 + 0.1 * 3)
    history = {name: entry.values() for name, entry in trainer.storage.histories().items()}
    assert history["loss_a"] == [(2.0, 0), (pytest.approx(-2.4), 1)]
    assert history["loss_b"] == [(0.5, 0), (0.5, 1)]
    assert history["total_loss"] == [(2.5, 0), (pytest.approx(-1.9), 1)]
    assert sorted(history) == ["data_time", "loss_a", "loss_b", "rank_data_time", "total_loss"]


def test_a_single_loss_is_reported_once_as_the_total() -> None:
    model = nn.Linear(1, 1)
    forward = torch.nn.Sequential(model, nn.Flatten(0))
    data = [torch.ones(1)] * 2
    trainer = SimpleTrainer(forward, data, torch.optim.SGD(model.parameters(), lr=0.0))
    trainer.train(0, 2)
    assert len(trainer.storage.history("total_loss").values()) == 2
    assert sorted(trainer.storage.latest()) == ["data_time", "rank_data_time", "total_loss"]


def test_metrics_are_gathered_every_few_iterations_only() -> None:
    trainer = make_trainer(gather_metric_period=3)
    trainer.train(0, 7)
    assert [i for _, i in trainer.storage.history("total_loss").values()] == [2, 5]


def test_metrics_can_be_written_by_a_thread_in_order() -> None:
    trainer = make_trainer(async_write_metrics=True)
    trainer.train(0, 5)
    assert [i for _, i in trainer.storage.history("total_loss").values()] == [0, 1, 2, 3, 4]
    with pytest.raises(RuntimeError):
        trainer.concurrent_executor.submit(print)


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_a_loss_that_is_not_finite_stops_before_the_update(value: float) -> None:
    trainer = make_trainer(data=[2.0, value])
    with pytest.raises(FloatingPointError, match="iteration=1"):
        trainer.train(0, 2)
    assert trainer.model.weight.item() == pytest.approx(0.8)


@pytest.mark.parametrize("before_forward", [False, True])
def test_gradients_are_cleared_every_step_before_or_after_the_forward(before_forward: bool) -> None:
    trainer = make_trainer(zero_grad_before_forward=before_forward)
    order: list[str] = []
    clear = trainer.optimizer.zero_grad
    trainer.optimizer.zero_grad = lambda: (order.append("clear"), clear())
    trainer.model.register_forward_pre_hook(lambda *_: order.append("forward"))
    trainer.train(0, 2)
    assert order == (["clear", "forward"] if before_forward else ["forward", "clear"]) * 2
    assert trainer.model.weight.grad == 2.0


def test_the_trainer_starts_in_training_mode_and_refuses_eval_mode() -> None:
    trainer = make_trainer()
    assert trainer.model.training
    trainer.model.eval()
    with pytest.raises(AssertionError, match=r"SimpleTrainer.*eval mode"):
        trainer.train(0, 1)


def test_the_loader_is_started_when_needed_and_can_be_replaced() -> None:
    started: list[str] = []

    def loader(name: str) -> Iterator[float]:
        started.append(name)
        yield from [1.0] * 5

    class Loader:
        def __init__(self, name: str) -> None:
            self.name = name

        def __iter__(self) -> Iterator[float]:
            return loader(self.name)

    trainer = make_trainer(data=Loader("first"))
    assert started == []
    trainer.train(0, 2)
    trainer.train(2, 3)
    assert started == ["first"]
    trainer.reset_data_loader(lambda: Loader("second"))
    trainer.train(3, 4)
    assert started == ["first", "second"]


# state


def test_the_state_holds_iteration_hooks_and_optimizer() -> None:
    trainer = make_trainer()
    trainer.optimizer = torch.optim.SGD(trainer.model.parameters(), lr=0.1, momentum=0.9)
    trainer.register_hooks([Stateful(7), Stateful(8), hooks.IterationTimer()])
    trainer.train(0, 3)
    state = trainer.state_dict()
    assert sorted(state) == ["hooks", "iteration", "optimizer"]
    assert state["iteration"] == 3
    assert state["hooks"] == {"Stateful": {"value": 7}}
    resumed = make_trainer()
    resumed.optimizer = torch.optim.SGD(resumed.model.parameters(), lr=0.5, momentum=0.9)
    first, second = Stateful(), Stateful()
    resumed.register_hooks([first, second])
    resumed.load_state_dict(state)
    assert (resumed.iter, first.value, second.value) == (3, 7, 0)
    assert resumed.optimizer.param_groups[0]["lr"] == 0.1
    buffers = [t.optimizer.state[t.model.weight]["momentum_buffer"] for t in (trainer, resumed)]
    assert buffers[0] == buffers[1]


def test_a_trainer_without_stateful_hooks_has_no_hooks_in_its_state(
    caplog: pytest.LogCaptureFixture,
) -> None:
    trainer = make_trainer()
    assert sorted(trainer.state_dict()) == ["iteration", "optimizer"]
    state = {**trainer.state_dict(), "hooks": {"Gone": {}}}
    with caplog.at_level(logging.WARNING):
        trainer.load_state_dict(state)
    assert "'Gone'" in caplog.text


@pytest.mark.skipif(torch.cuda.is_available(), reason="describes a machine without CUDA")
@pytest.mark.filterwarnings("ignore")
def test_mixed_precision_needs_cuda_but_its_trainer_can_be_made() -> None:
    trainer = make_trainer(trainer=AMPTrainer, precision=torch.bfloat16, log_grad_scaler=True)
    assert sorted(trainer.state_dict()) == ["grad_scaler", "iteration", "optimizer"]
    assert (trainer.precision, trainer.log_grad_scaler) == (torch.bfloat16, True)
    with pytest.raises(AssertionError, match="CUDA is required"):
        trainer.train(0, 1)
    with pytest.raises(AssertionError, match="multi-device"):
        AMPTrainer(nn.DataParallel(Weight()), [], None)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="mixed precision needs CUDA")
def test_mixed_precision_trains_and_logs_its_scale() -> None:
    model = Weight().cuda()
    data = [torch.tensor(2.0, device="cuda")] * 2
    scaler = torch.amp.GradScaler("cuda", init_scale=8.0)
    trainer = AMPTrainer(
        model,
        data,
        torch.optim.SGD(model.parameters(), lr=0.1),
        grad_scaler=scaler,
        log_grad_scaler=True,
    )
    trainer.train(0, 2)
    assert model.weight.item() == pytest.approx(1 - 2 * 0.1 * 2)
    assert trainer.storage.latest()["[metric]grad_scaler"] == (8.0, 1)
    assert trainer.state_dict()["grad_scaler"]["scale"] == 8.0


# hooks


def test_callbacks_get_the_trainer() -> None:
    calls: list[tuple[str, int]] = []
    names = ("before_train", "before_step", "after_step", "after_train")
    trainer = make_trainer()
    trainer.register_hooks(
        [
            hooks.CallbackHook(),
            hooks.CallbackHook(
                **{n: lambda trainer, n=n: calls.append((n, trainer.iter)) for n in names}
            ),
        ]
    )
    trainer.train(0, 1)
    assert calls == [(n, 1 if n == "after_train" else 0) for n in names]


def test_the_timer_measures_iterations_after_the_warmup(caplog: pytest.LogCaptureFixture) -> None:
    trainer = make_trainer()
    trainer.register_hooks([hooks.IterationTimer(warmup_iter=3)])
    with caplog.at_level(logging.INFO):
        trainer.train(0, 6)
    times = trainer.storage.history("time").values()
    assert [iteration for _, iteration in times] == [2, 3, 4, 5]
    assert all(0 < seconds < 5 for seconds, _ in times)
    assert "Overall training speed: 4 iterations in 0:00:00 (" in caplog.text
    assert "Total training time: 0:00:00 (0:00:00 on hooks)" in caplog.text


class CountingWriter(EventWriter):
    """Writes down the iterations at which it writes."""

    def __init__(self) -> None:
        self.iterations: list[int] = []

    def write(self) -> None:
        self.iterations.append(get_event_storage().iter)

    def close(self) -> None:
        self.iterations.append(-1)


def test_writers_write_periodically_after_the_last_step_and_at_the_end() -> None:
    writer = CountingWriter()
    trainer = make_trainer()
    trainer.register_hooks([hooks.PeriodicWriter([writer], period=3)])
    trainer.train(0, 8)
    assert writer.iterations == [2, 5, 7, 8, -1]
    with pytest.raises(AssertionError):
        hooks.PeriodicWriter([print])


@pytest.mark.parametrize(
    ("period", "after_train", "expected"),
    [(2, True, [1, 3, 6]), (3, True, [2, 6]), (0, True, [6]), (3, False, [2]), (0, False, [])],
)
def test_evaluation_is_periodic_and_at_the_end_but_not_twice(
    period: int, after_train: bool, expected: list[int]
) -> None:
    trainer = make_trainer()
    seen: list[int] = []

    def evaluate() -> dict[str, Any]:
        seen.append(trainer.iter)
        return {"set": {"mIoU": np.float64(50.0 + trainer.iter), "IoU": {"road": 1}}, "flat": 2}

    trainer.register_hooks([hooks.EvalHook(period, evaluate, after_train)])
    trainer.train(0, 6)
    assert seen == expected
    if expected:
        assert trainer.storage.latest()["set/mIoU"] == (50.0 + expected[-1], expected[-1])
        assert trainer.storage.latest()["set/IoU/road"][0] == 1.0
        assert trainer.storage.smoothing_hints()["flat"] is False


def test_no_evaluation_follows_a_failed_training() -> None:
    trainer = make_trainer(data=[1.0])
    seen: list[int] = []
    trainer.register_hooks([hooks.EvalHook(0, lambda: seen.append(trainer.iter))])
    with pytest.raises(StopIteration):
        trainer.train(0, 5)
    assert seen == []


def test_evaluation_must_return_nested_numbers() -> None:
    for result, error in (({"a": {"b": "text"}}, ValueError), ([1], AssertionError)):
        trainer = make_trainer()
        trainer.register_hooks([hooks.EvalHook(1, lambda result=result: result)])
        with pytest.raises(error, match=r"a/b|dict"):
            trainer.train(0, 2)


def rates_of(trainer: SimpleTrainer) -> list[float]:
    """The learning rates in the storage."""
    return [rate for rate, _ in trainer.storage.history("lr").values()]


def test_the_schedule_of_fvcore_scales_the_rate_and_its_state_resumes() -> None:
    trainer = make_trainer()
    trainer.register_hooks([hooks.LRScheduler(scheduler=LinearParamScheduler(1.0, 0.0))])
    assert "hooks" not in trainer.state_dict()
    trainer.train(0, 4)
    assert rates_of(trainer) == pytest.approx([0.1, 0.075, 0.05, 0.025])
    state = trainer.state_dict()
    assert state["hooks"] == {"LRScheduler": {"base_lrs": [0.1], "last_epoch": 4}}


def test_a_training_resumed_with_a_schedule_of_fvcore_goes_on_where_it_was(tmp_path: Path) -> None:
    def run(start: int, stop: int, resume: bool) -> SimpleTrainer:
        trainer = make_trainer(data=[1.0] * 8)
        checkpointer = DetectionCheckpointer(trainer.model, str(tmp_path), trainer=trainer)
        trainer.register_hooks(
            [
                hooks.CallbackHook(before_train=lambda t: setattr(t, "max_iter", 8)),
                hooks.LRScheduler(scheduler=LinearParamScheduler(1.0, 0.0)),
                hooks.PeriodicCheckpointer(checkpointer, 4),
            ]
        )
        checkpointer.resume_or_load("", resume=resume)
        assert trainer.iter + 1 == start or not resume
        trainer.train(start, stop)
        return trainer

    whole = run(0, 8, resume=False)
    for file in tmp_path.iterdir():
        file.unlink()
    run(0, 4, resume=False)
    resumed = run(4, 8, resume=True)
    assert rates_of(resumed) == pytest.approx(rates_of(whole)[4:])
    assert resumed.model.weight.item() == pytest.approx(whole.model.weight.item())


def test_a_schedule_of_torch_is_stepped_and_kept_in_the_state() -> None:
    trainer = make_trainer()
    step = torch.optim.lr_scheduler.StepLR(trainer.optimizer, step_size=2, gamma=0.5)
    trainer.register_hooks([hooks.LRScheduler(trainer.optimizer, step)])
    trainer.train(0, 4)
    assert rates_of(trainer) == [0.1, 0.1, 0.05, 0.05]
    state = trainer.state_dict()["hooks"]["LRScheduler"]
    assert state["last_epoch"] == 4
    other = make_trainer()
    hook = hooks.LRScheduler(scheduler=torch.optim.lr_scheduler.StepLR(other.optimizer, 2))
    other.register_hooks([hook])
    other.load_state_dict(trainer.state_dict())
    assert hook.scheduler.last_epoch == 4


def test_the_rate_reported_is_that_of_the_largest_group_or_the_commonest() -> None:
    parameters = [nn.Parameter(torch.zeros(1)) for _ in range(4)]
    find = hooks.LRScheduler.get_best_param_group_id
    sizes = torch.optim.SGD(
        [{"params": parameters[:1]}, {"params": parameters[1:3]}, {"params": parameters[3:]}], lr=1
    )
    assert find(sizes) == 1
    groups = [{"params": [parameter]} for parameter in parameters]
    rates = torch.optim.SGD(groups, lr=2)
    rates.param_groups[0]["lr"], rates.param_groups[2]["lr"] = 1, 3
    assert find(rates) == 1


class NameRecorder:
    """Stands where a checkpointer does and records what it is asked to save."""

    def __init__(self) -> None:
        self.saved: list[tuple[str, int]] = []

    def save(self, name: str, iteration: int) -> None:
        self.saved.append((name, iteration))


@pytest.mark.parametrize(
    ("mode", "values", "saved"),
    [
        # the evaluations are after the iterations 1, 3, 5, 7, and at the end, 10
        ("max", [5.0, 4.0, 6.0, 6.0, 7.0], [1, 5, 10]),
        ("min", [5.0, 6.0, 5.0, 1.0, 7.0], [1, 7]),
    ],
)
def test_the_best_checkpoint_follows_the_metric(
    mode: str, values: list[float], saved: list[int]
) -> None:
    metrics = iter(values)
    recorder = NameRecorder()
    trainer = make_trainer()
    best = hooks.BestCheckpointer(2, recorder, "set/mIoU", mode, "best")
    trainer.register_hooks([hooks.EvalHook(2, lambda: {"set": {"mIoU": next(metrics)}}), best])
    trainer.train(0, 10)
    assert recorder.saved == [("best", iteration) for iteration in saved]
    assert best.best_metric == (max(values) if mode == "max" else min(values))
    assert best.best_iter == saved[-1]


def test_the_best_checkpoint_ignores_what_is_not_finite_or_not_there(
    caplog: pytest.LogCaptureFixture,
) -> None:
    recorder = NameRecorder()
    values = iter([math.nan, math.inf, 3.0, math.nan])
    trainer = make_trainer()
    trainer.register_hooks(
        [
            hooks.EvalHook(1, lambda: {"m": next(values)}),
            hooks.BestCheckpointer(1, recorder, "m"),
            hooks.BestCheckpointer(1, recorder, "absent"),
        ]
    )
    with caplog.at_level(logging.WARNING):
        trainer.train(0, 4)
    assert recorder.saved == [("model_best", 2)]
    assert "absent" in caplog.text
    with pytest.raises(AssertionError):
        hooks.BestCheckpointer(1, recorder, "m", mode="best")


def test_checkpoints_are_saved_periodically_and_at_the_end_and_old_ones_removed(
    tmp_path: Path,
) -> None:
    trainer = make_trainer()
    checkpointer = DetectionCheckpointer(trainer.model, str(tmp_path), trainer=trainer)
    trainer.register_hooks([hooks.PeriodicCheckpointer(checkpointer, period=2, max_to_keep=2)])
    trainer.train(0, 7)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["last_checkpoint", "model_0000003.pth", "model_0000005.pth", "model_final.pth"]
    saved = torch.load(tmp_path / "model_0000003.pth", weights_only=True)
    assert sorted(saved) == ["iteration", "model", "trainer"]
    assert (saved["iteration"], saved["trainer"]["iteration"]) == (3, 3)


# defaults of programs


def test_the_parser_knows_the_arguments_of_launch() -> None:
    parser = default_argument_parser()
    plain = parser.parse_args([])
    port = int(plain.dist_url.removeprefix("tcp://127.0.0.1:"))
    assert 49152 <= port < 65536
    assert default_argument_parser().parse_args([]).dist_url == plain.dist_url
    assert vars(plain) == {
        "config_file": "",
        "resume": False,
        "eval_only": False,
        "num_gpus": 1,
        "num_machines": 1,
        "machine_rank": 0,
        "dist_url": plain.dist_url,
        "opts": [],
    }
    full = parser.parse_args(
        [
            "--config-file",
            "c.py",
            "--resume",
            "--eval-only",
            "--num-gpus",
            "2",
            "--num-machines",
            "3",
            "--machine-rank",
            "1",
            "--dist-url",
            "auto",
            "train.seed=1",
            "--flag",
        ]
    )
    assert (full.config_file, full.num_gpus, full.num_machines) == ("c.py", 2, 3)
    assert (full.machine_rank, full.dist_url) == (1, "auto")
    assert full.resume
    assert full.eval_only
    assert full.opts == ["train.seed=1", "--flag"]
    assert default_argument_parser("the end").epilog == "the end"


def test_writers_cover_the_log_json_and_tensorboard(tmp_path: Path) -> None:
    trainer = make_trainer()
    folder = tmp_path / "new" / "folder"
    writers = default_writers(str(folder), 4)
    assert [type(writer).__name__ for writer in writers] == [
        "CommonMetricPrinter",
        "JSONWriter",
        "TensorboardXWriter",
    ]
    trainer.register_hooks([hooks.PeriodicWriter(writers, period=2)])
    trainer.train(0, 4)
    lines = [json.loads(line) for line in (folder / "metrics.json").read_text().splitlines()]
    assert [line["iteration"] for line in lines] == [1, 3]
    assert lines[0]["loss_b"] == 0.5
    assert len(list(folder.glob("events.out.tfevents.*"))) == 1


@pytest.mark.usefixtures("_restore_logging")
def test_setup_records_environment_arguments_and_config_and_seeds(tmp_path: Path) -> None:
    config = tmp_path / "leaf.py"
    config.write_text("train = dict(seed=3)  # a remark\n")
    output = tmp_path / "output"
    cfg = OmegaConf.create(
        {"train": {"output_dir": str(output), "seed": 3, "cudnn_benchmark": False}}
    )
    args = argparse.Namespace(config_file=str(config), eval_only=False)
    default_setup(cfg, args)
    first = torch.rand(1), np.random.rand()
    default_setup(cfg, args)
    assert (torch.rand(1), np.random.rand()) == first
    torch.manual_seed(3)
    assert torch.rand(1) == first[0]
    log = (output / "log.txt").read_text()
    for part in ("World size: 1", "sys.platform", f"config_file='{config}'", "Full config saved"):
        assert part in log
    assert "remark" in log
    assert LazyConfig.load(str(output / "config.yaml")) == cfg
    assert torch.backends.cudnn.benchmark is False


@pytest.mark.usefixtures("_restore_logging")
def test_setup_needs_neither_an_output_folder_nor_a_seed() -> None:
    torch.manual_seed(0)
    state = torch.get_rng_state()
    default_setup(OmegaConf.create({}), argparse.Namespace())
    assert not torch.equal(torch.get_rng_state(), state)


def test_a_single_process_trains_the_bare_model() -> None:
    model = Weight()
    assert create_ddp_model(model, fp16_compression=True, broadcast_buffers=False) is model

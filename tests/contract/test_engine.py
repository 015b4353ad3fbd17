"""Trainers, hooks and the defaults of programs, on whichever Detectron2 is installed."""

import argparse
import gc
import json
import logging
import math

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
from fvcore.common.param_scheduler import LinearParamScheduler
from omegaconf import OmegaConf
from torch import nn


class Weight(nn.Module):
    """loss = weight · data, so that the gradient is the data."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(1.0))

    def forward(self, data):
        return {"loss_a": self.weight * data, "loss_b": self.weight.detach() * 0 + 0.5}


def make_trainer(data=(2.0,) * 20, trainer=SimpleTrainer, **kwargs):
    """A trainer of a Weight by SGD with rate 0.1."""
    model = Weight()
    return trainer(model, data, torch.optim.SGD(model.parameters(), lr=0.1), **kwargs)


def recorder(calls):
    """A hook that writes down which of its methods was called at which iteration."""

    def method(name):
        return lambda self: calls.append((name, self.trainer.iter, self.trainer.storage.iter))

    moments = ("before_train", "before_step", "after_backward", "after_step", "after_train")
    return type("Recorder", (HookBase,), {name: method(name) for name in moments})()


class Stateful(HookBase):
    """A hook with state."""

    def __init__(self, value=0):
        self.value = value

    def state_dict(self):
        return {"value": self.value}

    def load_state_dict(self, state):
        self.value = state["value"]


# the loop


def test_hooks_are_called_around_every_step_in_order():
    calls = []
    trainer = make_trainer()
    trainer.register_hooks([None, recorder(calls)])
    trainer.train(3, 5)
    moments = ("before_step", "after_backward", "after_step")
    steps = [(name, i, i) for i in (3, 4) for name in moments]
    assert calls == [("before_train", 3, 3), *steps, ("after_train", 5, 5)]
    assert (trainer.start_iter, trainer.max_iter, trainer.iter) == (3, 5, 5)


def test_a_failed_step_is_logged_raised_and_followed_by_after_train(caplog):
    calls = []
    trainer = make_trainer(data=[1.0])
    trainer.register_hooks([recorder(calls)])
    with caplog.at_level(logging.INFO), pytest.raises(StopIteration):
        trainer.train(0, 3)
    assert calls[-2:] == [("before_step", 1, 1), ("after_train", 1, 1)]
    assert "Exception during training" in caplog.text
    assert "Starting training from iteration 0" in caplog.text


def test_hooks_must_be_hooks_and_hold_a_trainer_weakly_that_defines_its_step():
    trainer, hook = make_trainer(), Stateful()
    trainer.register_hooks([hook])
    assert hook.trainer.iter == 0
    del trainer
    gc.collect()
    with pytest.raises(ReferenceError):
        _ = hook.trainer.iter
    with pytest.raises(AssertionError):
        make_trainer().register_hooks([object()])
    with pytest.raises(NotImplementedError):
        TrainerBase().train(0, 1)


def test_a_step_descends_along_the_gradient_of_the_sum_of_losses():
    trainer = make_trainer(data=[2.0, -3.0])
    trainer.train(0, 2)
    assert trainer.model.weight.item() == pytest.approx(1 - 0.1 * 2 + 0.1 * 3)
    history = {name: entry.values() for name, entry in trainer.storage.histories().items()}
    assert history["loss_a"] == [(2.0, 0), (pytest.approx(-2.4), 1)]
    assert history["loss_b"] == [(0.5, 0), (0.5, 1)]
    assert history["total_loss"] == [(2.5, 0), (pytest.approx(-1.9), 1)]
    assert sorted(history) == ["data_time", "loss_a", "loss_b", "rank_data_time", "total_loss"]


def test_a_single_loss_is_reported_as_the_total_every_few_iterations():
    model = nn.Linear(1, 1)
    forward = torch.nn.Sequential(model, nn.Flatten(0))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    trainer = SimpleTrainer(forward, [torch.ones(1)] * 7, optimizer, gather_metric_period=3)
    trainer.train(0, 7)
    assert [i for _, i in trainer.storage.history("total_loss").values()] == [2, 5]
    assert sorted(trainer.storage.latest()) == ["data_time", "rank_data_time", "total_loss"]


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_a_loss_that_is_not_finite_stops_before_the_update(value):
    trainer = make_trainer(data=[2.0, value])
    with pytest.raises(FloatingPointError, match="iteration=1"):
        trainer.train(0, 2)
    assert trainer.model.weight.item() == pytest.approx(0.8)


@pytest.mark.parametrize("before_forward", [False, True])
def test_gradients_are_cleared_every_step_before_or_after_the_forward(before_forward):
    trainer = make_trainer(zero_grad_before_forward=before_forward)
    order = []
    clear = trainer.optimizer.zero_grad
    trainer.optimizer.zero_grad = lambda: (order.append("clear"), clear())
    trainer.model.register_forward_pre_hook(lambda *_: order.append("forward"))
    trainer.train(0, 2)
    assert order == (["clear", "forward"] if before_forward else ["forward", "clear"]) * 2
    assert trainer.model.weight.grad == 2.0


def test_the_loader_is_started_once_and_when_needed_and_the_model_put_in_training_mode():
    started = []

    class Loader:
        def __iter__(self):
            started.append(1)
            return iter([1.0] * 5)

    trainer = make_trainer(data=Loader())
    assert started == []
    trainer.train(0, 2)
    trainer.train(2, 3)
    assert started == [1]
    assert trainer.model.training
    trainer.model.eval()
    with pytest.raises(AssertionError, match=r"SimpleTrainer.*eval mode"):
        trainer.train(0, 1)


# state


def test_the_state_holds_iteration_hooks_and_optimizer():
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


def test_the_state_of_a_hook_that_is_gone_is_ignored(caplog):
    trainer = make_trainer()
    assert sorted(trainer.state_dict()) == ["iteration", "optimizer"]
    state = {**trainer.state_dict(), "hooks": {"Gone": {}}}
    with caplog.at_level(logging.WARNING):
        trainer.load_state_dict(state)
    assert "'Gone'" in caplog.text


@pytest.mark.skipif(torch.cuda.is_available(), reason="describes a machine without CUDA")
@pytest.mark.filterwarnings("ignore")
def test_mixed_precision_needs_cuda_but_its_trainer_can_be_made():
    trainer = make_trainer(trainer=AMPTrainer, precision=torch.bfloat16, log_grad_scaler=True)
    assert sorted(trainer.state_dict()) == ["grad_scaler", "iteration", "optimizer"]
    assert (trainer.precision, trainer.log_grad_scaler) == (torch.bfloat16, True)
    with pytest.raises(AssertionError, match="CUDA is required"):
        trainer.train(0, 1)
    with pytest.raises(AssertionError, match="multi-device"):
        AMPTrainer(nn.DataParallel(Weight()), [], None)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="mixed precision needs CUDA")
def test_mixed_precision_trains_and_logs_its_scale():
    model = Weight().cuda()
    data = [torch.tensor(2.0, device="cuda")] * 2
    scaler = torch.amp.GradScaler("cuda", init_scale=8.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    trainer = AMPTrainer(model, data, optimizer, grad_scaler=scaler, log_grad_scaler=True)
    trainer.train(0, 2)
    assert model.weight.item() == pytest.approx(1 - 2 * 0.1 * 2)
    assert trainer.storage.latest()["[metric]grad_scaler"] == (8.0, 1)
    assert trainer.state_dict()["grad_scaler"]["scale"] == 8.0


# hooks


def test_the_timer_measures_iterations_after_the_warmup(caplog):
    trainer = make_trainer()
    trainer.register_hooks([hooks.IterationTimer(warmup_iter=3)])
    with caplog.at_level(logging.INFO):
        trainer.train(0, 6)
    times = trainer.storage.history("time").values()
    assert [iteration for _, iteration in times] == [2, 3, 4, 5]
    assert all(0 < seconds < 5 for seconds, _ in times)
    assert "Overall training speed: 4 iterations in 0:00:00 (" in caplog.text
    assert "Total training time: 0:00:00 (0:00:00 on hooks)" in caplog.text


def test_writers_write_periodically_after_the_last_step_and_at_the_end():
    iterations = []

    class Writer(EventWriter):
        def write(self):
            iterations.append(get_event_storage().iter)

        def close(self):
            iterations.append("closed")

    trainer = make_trainer()
    trainer.register_hooks([hooks.PeriodicWriter([Writer()], period=3)])
    trainer.train(0, 8)
    assert iterations == [2, 5, 7, 8, "closed"]
    with pytest.raises(AssertionError):
        hooks.PeriodicWriter([print])


@pytest.mark.parametrize(
    ("period", "after_train", "expected"),
    [(2, True, [1, 3, 6]), (3, True, [2, 6]), (0, True, [6]), (3, False, [2]), (0, False, [])],
)
def test_evaluation_is_periodic_and_at_the_end_but_not_twice(period, after_train, expected):
    trainer = make_trainer()
    seen = []

    def evaluate():
        seen.append(trainer.iter)
        return {"set": {"mIoU": np.float64(50.0 + trainer.iter), "IoU": {"road": 1}}, "flat": 2}

    trainer.register_hooks([hooks.EvalHook(period, evaluate, after_train)])
    trainer.train(0, 6)
    assert seen == expected
    if expected:
        assert trainer.storage.latest()["set/mIoU"] == (50.0 + expected[-1], expected[-1])
        assert trainer.storage.latest()["set/IoU/road"][0] == 1.0
        assert trainer.storage.smoothing_hints()["flat"] is False


def test_no_evaluation_follows_a_failed_training_and_each_gives_numbers():
    trainer = make_trainer(data=[1.0])
    seen = []
    trainer.register_hooks([hooks.EvalHook(0, lambda: seen.append(trainer.iter))])
    with pytest.raises(StopIteration):
        trainer.train(0, 5)
    assert seen == []
    trainer = make_trainer()
    trainer.register_hooks([hooks.EvalHook(1, lambda: {"a": {"b": "text"}})])
    with pytest.raises(ValueError, match="a/b"):
        trainer.train(0, 2)


def rates_of(trainer):
    """The learning rates in the storage."""
    return [rate for rate, _ in trainer.storage.history("lr").values()]


def test_a_training_resumed_with_a_schedule_of_fvcore_goes_on_where_it_was(tmp_path):
    class Whole(HookBase):
        def before_train(self):
            self.trainer.max_iter = 8  # also of the part that stops earlier

    def run(folder, start, stop):
        trainer = make_trainer(data=[1.0] * 8)
        (tmp_path / folder).mkdir(exist_ok=True)
        saver = DetectionCheckpointer(trainer.model, str(tmp_path / folder), trainer=trainer)
        schedule = hooks.LRScheduler(scheduler=LinearParamScheduler(1.0, 0.0))
        trainer.register_hooks([Whole(), schedule, hooks.PeriodicCheckpointer(saver, 4)])
        saver.resume_or_load("", resume=True)
        trainer.train(start, stop)
        return trainer

    whole = run("whole", 0, 8)
    run("parts", 0, 4)
    resumed = run("parts", 4, 8)
    assert rates_of(whole) == pytest.approx([0.1 * k / 8 for k in range(8, 0, -1)])
    assert rates_of(resumed) == pytest.approx(rates_of(whole)[4:])
    assert resumed.model.weight.item() == pytest.approx(whole.model.weight.item())


def test_a_schedule_of_torch_is_stepped_and_kept_in_the_state():
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


def test_the_rate_reported_is_that_of_the_largest_group_or_the_commonest():
    parameters = [nn.Parameter(torch.zeros(1)) for _ in range(4)]
    find = hooks.LRScheduler.get_best_param_group_id
    groups = [{"params": parameters[:1]}, {"params": parameters[1:]}]
    assert find(torch.optim.SGD(groups, lr=1)) == 1
    groups = [{"params": [parameter]} for parameter in parameters]
    rates = torch.optim.SGD(groups, lr=2)
    rates.param_groups[0]["lr"], rates.param_groups[2]["lr"] = 1, 3
    assert find(rates) == 1


def test_checkpoints_are_saved_periodically_and_at_the_end_and_old_ones_removed(tmp_path):
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


def test_the_parser_knows_the_arguments_of_launch():
    parser = default_argument_parser()
    plain = parser.parse_args([])
    port = int(plain.dist_url.removeprefix("tcp://127.0.0.1:"))
    assert 49152 <= port < 65536
    assert default_argument_parser().parse_args([]).dist_url == plain.dist_url
    flags = {"config_file": "", "resume": False, "eval_only": False, "opts": []}
    machines = {"num_gpus": 1, "num_machines": 1, "machine_rank": 0, "dist_url": plain.dist_url}
    assert vars(plain) == {**flags, **machines}
    given = "--config-file c.py --resume --eval-only --num-gpus 2 --num-machines 3 "
    given += "--machine-rank 1 --dist-url auto train.seed=1 --flag"
    full = parser.parse_args(given.split())
    assert (full.config_file, full.num_gpus, full.num_machines) == ("c.py", 2, 3)
    assert (full.machine_rank, full.dist_url) == (1, "auto")
    assert (full.resume, full.eval_only, full.opts) == (True, True, ["train.seed=1", "--flag"])
    assert default_argument_parser("the end").epilog == "the end"


def test_writers_cover_the_log_json_and_tensorboard(tmp_path):
    trainer = make_trainer()
    folder = tmp_path / "new" / "folder"
    writers = default_writers(str(folder), 4)
    names = [type(writer).__name__ for writer in writers]
    assert names == ["CommonMetricPrinter", "JSONWriter", "TensorboardXWriter"]
    trainer.register_hooks([hooks.PeriodicWriter(writers, period=2)])
    trainer.train(0, 4)
    lines = [json.loads(line) for line in (folder / "metrics.json").read_text().splitlines()]
    assert [line["iteration"] for line in lines] == [1, 3]
    assert lines[0]["loss_b"] == 0.5
    assert len(list(folder.glob("events.out.tfevents.*"))) == 1


def test_setup_records_environment_arguments_and_config_and_seeds(tmp_path):
    config = tmp_path / "leaf.py"
    config.write_text("train = dict(seed=3)  # a remark\n")
    output = tmp_path / "output"
    train = {"output_dir": str(output), "seed": 3, "cudnn_benchmark": False}
    cfg = OmegaConf.create({"train": train})
    args = argparse.Namespace(config_file=str(config), eval_only=False)
    default_setup(cfg, args)
    first = torch.rand(1), np.random.rand()
    default_setup(cfg, args)
    assert (torch.rand(1), np.random.rand()) == first
    torch.manual_seed(3)
    assert torch.rand(1) == first[0]
    log = (output / "log.txt").read_text()
    for part in ("World size: 1", "sys.platform", f"config_file='{config}'", "remark"):
        assert part in log
    assert LazyConfig.load(str(output / "config.yaml")) == cfg
    assert torch.backends.cudnn.benchmark is False


def test_setup_needs_neither_an_output_folder_nor_a_seed():
    torch.manual_seed(0)
    state = torch.get_rng_state()
    default_setup(OmegaConf.create({}), argparse.Namespace())
    assert not torch.equal(torch.get_rng_state(), state)


def test_a_single_process_trains_the_bare_model():
    model = Weight()
    assert create_ddp_model(model, fp16_compression=True, broadcast_buffers=False) is model


def test_the_best_checkpoint_is_kept(tmp_path):
    class Saved:
        def __init__(self):
            self.calls = []

        def save(self, name, **state):
            self.calls.append((name, state))

    values = [1.0, float("nan"), 3.0, 2.0, 3.0, 4.0]
    for mode, expected in (("max", [0, 2, 5]), ("min", [0])):
        saved, trainer = Saved(), TrainerBase()
        trainer.run_step = lambda t=trainer: t.storage.put_scalar("a/b", values[t.iter])
        best = hooks.BestCheckpointer(1, saved, "a/b", mode, file_prefix="best")
        trainer.register_hooks([best])
        trainer.train(0, len(values))
        assert saved.calls == [("best", {"iteration": k}) for k in expected]
        assert (best.best_metric, best.best_iter) == (values[expected[-1]], expected[-1])

"""Signals end training after the iteration, with a checkpoint."""

import os
import signal

import pytest
import torch
from detectron2.utils import comm

from langdg_d2.engine import SegmentationTrainer, StopOnSignal, StrictCheckpointer
from langdg_d2.utils.errors import LangDGError


class Model(torch.nn.Module):
    """Sends this process signals in its third iteration, which is as long as it takes."""

    def __init__(self, signals) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.signals, self.calls = signals, 0
        self.loss = 1.0

    def forward(self, batch):
        self.calls += 1
        if self.calls == 3:
            for number in self.signals:
                os.kill(os.getpid(), number)
        return {"loss": self.weight.sum() * self.loss}


def build(folder, *signals, log_period=1):
    model = Model(signals)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    trainer = SegmentationTrainer(
        model=model, loader=[[]] * 9, optimizer=optimizer, log_period=log_period
    )
    checkpointer = StrictCheckpointer(model, str(folder), trainer=trainer)
    trainer.register_hooks([StopOnSignal(checkpointer=checkpointer, period=log_period)])
    return trainer, checkpointer


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_the_iteration_is_ended_and_saved_and_the_signal_has_its_meaning_again(tmp_path, number):
    before = signal.getsignal(number)
    trainer, _ = build(tmp_path, number, log_period=4)
    with pytest.raises(SystemExit) as stopped:
        trainer.train(0, 8)
    assert stopped.value.code == 128 + number
    assert signal.getsignal(number) is before
    assert float(trainer.model.weight) == -2.0  # three steps
    # Losses are complete, though the signal came between two periods.
    assert [k for _, k in trainer.storage.history("total_loss").values()] == [0, 1, 2]
    again, checkpointer = build(tmp_path)
    assert checkpointer.start(str(tmp_path / "model_0000002.pth"), resume=True) == 3
    assert float(again.model.weight) == -2.0


def test_a_second_interrupt_ends_at_once_without_saving(tmp_path):
    trainer, checkpointer = build(tmp_path, signal.SIGINT, signal.SIGINT)
    with pytest.raises(SystemExit) as stopped:
        trainer.train(0, 8)
    assert stopped.value.code == 128 + signal.SIGINT
    assert not checkpointer.has_checkpoint()
    assert float(trainer.model.weight) == -1.0


def test_weights_are_not_saved_where_a_loss_before_was_not_finite(tmp_path):
    trainer, checkpointer = build(tmp_path, signal.SIGTERM, log_period=4)
    trainer.model.loss = float("nan")
    with pytest.raises(LangDGError, match="iteration 0 is not finite"):
        trainer.train(0, 8)
    assert not checkpointer.has_checkpoint()


def test_after_the_last_iteration_nothing_is_saved_twice(tmp_path):
    trainer, checkpointer = build(tmp_path, signal.SIGTERM)
    checkpointer.save("model_final")
    with pytest.raises(SystemExit):
        trainer.train(0, 3)
    assert not list(tmp_path.glob("model_0*"))


def _interrupted(args):
    trainer, _ = build(args.folder, *[signal.SIGTERM] * comm.get_rank(), log_period=4)
    trainer.train(0, args.iterations)


@pytest.mark.parametrize(("iterations", "last"), [(3, None), (8, "model_0000003.pth")])
def test_processes_agree_at_a_log_period_and_in_the_last_iteration(
    in_two_processes, tmp_path, iterations, last
):
    with pytest.raises(SystemExit) as stopped:
        in_two_processes(_interrupted, folder=str(tmp_path), iterations=iterations)
    assert stopped.value.code == 128 + signal.SIGTERM
    assert [path.name for path in tmp_path.glob("model_*")] == ([last] if last else [])

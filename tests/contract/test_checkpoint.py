"""Saving and loading, on whichever Detectron2 is installed."""

import logging
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.checkpoint import Checkpointer, DetectionCheckpointer, PeriodicCheckpointer
from torch import nn


class Counter:
    """Something with state."""

    def __init__(self, value: int = 0) -> None:
        self.value = value

    def state_dict(self) -> dict[str, int]:
        return {"value": self.value}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.value = state["value"]


class Normalized(nn.Linear):
    """A model with the two buffers that older checkpoints lack."""

    def __init__(self) -> None:
        super().__init__(2, 1)
        self.register_buffer("pixel_mean", torch.zeros(3))
        self.register_buffer("other", torch.zeros(3))


def filled(value: float) -> nn.Linear:
    """A linear layer with equal entries."""
    layer = nn.Linear(2, 1)
    nn.init.constant_(layer.weight, value)
    nn.init.constant_(layer.bias, value)
    return layer


def test_what_was_saved_is_loaded_with_the_extras_returned(tmp_path: Path) -> None:
    saved = DetectionCheckpointer(filled(2.0), str(tmp_path), counter=Counter(5))
    saved.save("model_a", iteration=3, note="text")
    counter, model = Counter(), filled(0.0)
    rest = DetectionCheckpointer(model, counter=counter).load(str(tmp_path / "model_a.pth"))
    assert rest == {"iteration": 3, "note": "text"}
    assert counter.value == 5
    assert model.weight.tolist() == [[2.0, 2.0]]


def test_resume_takes_the_last_checkpoint_and_all_state(tmp_path: Path) -> None:
    saver = DetectionCheckpointer(filled(2.0), str(tmp_path), counter=Counter(5))
    assert not saver.has_checkpoint()
    saver.save("first")
    saver.save("second")
    assert (tmp_path / "last_checkpoint").read_text() == "second.pth"
    other = tmp_path / "other.pth"
    torch.save({"model": filled(7.0).state_dict(), "counter": {"value": 9}}, other)
    counter, model = Counter(), filled(0.0)
    loader = DetectionCheckpointer(model, str(tmp_path), counter=counter)
    assert loader.get_checkpoint_file() == str(tmp_path / "second.pth")
    loader.resume_or_load(str(other), resume=True)
    assert (model.bias.item(), counter.value) == (2.0, 5)


def test_without_resume_only_the_model_is_loaded(tmp_path: Path) -> None:
    DetectionCheckpointer(filled(2.0), str(tmp_path), counter=Counter(5)).save("last")
    other = tmp_path / "other.pth"
    torch.save({"model": filled(7.0).state_dict(), "counter": {"value": 9}}, other)
    counter, model = Counter(), filled(0.0)
    loader = DetectionCheckpointer(model, str(tmp_path), counter=counter)
    rest = loader.resume_or_load(str(other), resume=False)
    assert (model.bias.item(), counter.value) == (7.0, 0)
    assert rest == {"counter": {"value": 9}}


def test_nothing_to_load_changes_nothing(tmp_path: Path) -> None:
    model = filled(3.0)
    loader = DetectionCheckpointer(model, str(tmp_path))
    assert loader.load("") == {}
    assert loader.resume_or_load("", resume=True) == {}
    assert model.bias.item() == 3.0
    with pytest.raises((AssertionError, OSError), match="absent"):
        loader.load(str(tmp_path / "absent.pth"))


def test_a_bare_state_dict_is_a_model(tmp_path: Path) -> None:
    file = tmp_path / "bare.pth"
    torch.save(filled(4.0).state_dict(), file)
    model = filled(0.0)
    assert DetectionCheckpointer(model).load(str(file)) == {}
    assert model.weight.tolist() == [[4.0, 4.0]]


def test_a_wrapped_model_is_saved_and_loaded_bare(tmp_path: Path) -> None:
    wrapped = nn.DataParallel(filled(1.0))
    checkpointer = DetectionCheckpointer(wrapped, str(tmp_path))
    assert checkpointer.model is wrapped.module
    checkpointer.save("model")
    state = torch.load(tmp_path / "model.pth", weights_only=True)["model"]
    assert sorted(state) == ["bias", "weight"]
    prefixed = tmp_path / "prefixed.pth"
    torch.save({f"module.{name}": value * 2 for name, value in state.items()}, prefixed)
    DetectionCheckpointer(wrapped).load(str(prefixed))
    assert wrapped.module.bias.item() == 2.0


def test_other_shapes_and_names_are_skipped_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("fvcore"), "propagate", True)
    file = tmp_path / "other.pth"
    torch.save({"weight": torch.ones(5, 5), "extra": torch.ones(1)}, file)
    model = filled(3.0)
    with caplog.at_level(logging.WARNING):
        DetectionCheckpointer(model).load(str(file))
    assert model.weight.tolist() == [[3.0, 3.0]]
    assert "(5, 5)" in caplog.text
    assert "bias" in caplog.text
    assert "extra" in caplog.text


def test_missing_pixel_statistics_are_no_news(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("fvcore"), "propagate", True)
    file = tmp_path / "old.pth"
    torch.save(filled(1.0).state_dict(), file)
    with caplog.at_level(logging.WARNING):
        DetectionCheckpointer(Normalized()).load(str(file))
    assert "other" in caplog.text
    assert "pixel_mean" not in caplog.text


def test_files_with_other_objects_than_tensors_and_plain_values_are_refused(
    tmp_path: Path,
) -> None:
    file = tmp_path / "numpy.pth"
    torch.save({"model": filled(1.0).state_dict(), "best_score": np.float64(0.5)}, file)
    model = filled(0.0)
    with pytest.raises(pickle.UnpicklingError, match="numpy"):
        DetectionCheckpointer(model).load(str(file))
    assert model.bias.item() == 0.0


def test_a_question_that_loading_cannot_answer_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "bare.pth"
    torch.save(filled(4.0).state_dict(), file)
    with pytest.raises(ValueError, match="colour"):
        DetectionCheckpointer(filled(0.0)).load(f"{file}?colour=red")


def test_saving_can_be_switched_off(tmp_path: Path) -> None:
    DetectionCheckpointer(filled(1.0), str(tmp_path), save_to_disk=False).save("model")
    DetectionCheckpointer(filled(1.0)).save("model")
    assert list(tmp_path.iterdir()) == []


def test_only_things_with_state_can_be_added_and_each_key_once() -> None:
    with pytest.raises(TypeError, match="state_dict"):
        DetectionCheckpointer(filled(1.0), wrong=object())
    checkpointer = DetectionCheckpointer(filled(1.0), counter=Counter())
    with pytest.raises(KeyError, match="counter"):
        checkpointer.add_checkpointable("counter", Counter())


def test_the_periodic_checkpointer_works_without_a_trainer(tmp_path: Path) -> None:
    checkpointer = DetectionCheckpointer(filled(1.0), str(tmp_path))
    assert isinstance(checkpointer, Checkpointer)
    periodic = PeriodicCheckpointer(checkpointer, period=2, max_iter=3)
    for iteration in range(3):
        periodic.step(iteration, seen=iteration)
    names = sorted(path.name for path in tmp_path.glob("*.pth"))
    assert names == ["model_0000001.pth", "model_final.pth"]
    assert torch.load(tmp_path / "model_final.pth", weights_only=True)["seen"] == 2

"""Saving and loading beyond what fvcore does, on whichever Detectron2 is installed."""

import logging
import pickle

import numpy as np
import pytest
import torch
from detectron2.checkpoint import DetectionCheckpointer
from torch import nn


class Counter:
    """Something with state."""

    def __init__(self, value=0):
        self.value = value

    def state_dict(self):
        return {"value": self.value}

    def load_state_dict(self, state):
        self.value = state["value"]


class Normalized(nn.Linear):
    """A model with the two buffers that older checkpoints lack."""

    def __init__(self):
        super().__init__(2, 1)
        self.register_buffer("pixel_mean", torch.zeros(3))
        self.register_buffer("other", torch.zeros(3))


def filled(value):
    """A linear layer with equal entries."""
    layer = nn.Linear(2, 1)
    nn.init.constant_(layer.weight, value)
    nn.init.constant_(layer.bias, value)
    return layer


def test_resuming_takes_the_last_checkpoint_with_all_state_and_loading_only_a_model(tmp_path):
    saver = DetectionCheckpointer(filled(2.0), str(tmp_path), counter=Counter(5))
    assert not saver.has_checkpoint()
    saver.save("first")
    saver.save("second", note="text")
    assert (tmp_path / "last_checkpoint").read_text() == "second.pth"
    other = tmp_path / "other.pth"
    torch.save({"model": filled(7.0).state_dict(), "counter": {"value": 9}}, other)
    counter, model = Counter(), filled(0.0)
    loader = DetectionCheckpointer(model, str(tmp_path), counter=counter)
    assert loader.get_checkpoint_file() == str(tmp_path / "second.pth")
    assert loader.resume_or_load(str(other), resume=True) == {"note": "text"}
    assert (model.bias.item(), counter.value) == (2.0, 5)

    counter, model = Counter(), filled(0.0)
    loader = DetectionCheckpointer(model, str(tmp_path), counter=counter)
    rest = loader.resume_or_load(str(other), resume=False)
    assert (model.bias.item(), counter.value) == (7.0, 0)
    assert rest == {"counter": {"value": 9}}


def test_nothing_to_load_changes_nothing(tmp_path):
    model = filled(3.0)
    assert DetectionCheckpointer(model, str(tmp_path)).resume_or_load("", resume=True) == {}
    assert model.bias.item() == 3.0


def test_a_bare_state_dict_is_a_model(tmp_path):
    file = tmp_path / "bare.pth"
    torch.save(filled(4.0).state_dict(), file)
    model = filled(0.0)
    assert DetectionCheckpointer(model).load(str(file)) == {}
    assert model.weight.tolist() == [[4.0, 4.0]]


def test_missing_pixel_statistics_are_no_news(tmp_path, caplog):
    file = tmp_path / "old.pth"
    torch.save(filled(1.0).state_dict(), file)
    with caplog.at_level(logging.WARNING):
        DetectionCheckpointer(Normalized()).load(str(file))
    assert "other" in caplog.text
    assert "pixel_mean" not in caplog.text


def test_files_with_other_objects_than_tensors_and_plain_values_are_refused(tmp_path):
    file = tmp_path / "numpy.pth"
    torch.save({"model": filled(1.0).state_dict(), "best_score": np.float64(0.5)}, file)
    model = filled(0.0)
    with pytest.raises(pickle.UnpicklingError, match="numpy"):
        DetectionCheckpointer(model).load(str(file))
    assert model.bias.item() == 0.0


def test_saving_can_be_switched_off(tmp_path):
    DetectionCheckpointer(filled(1.0), str(tmp_path), save_to_disk=False).save("model")
    DetectionCheckpointer(filled(1.0)).save("model")
    assert list(tmp_path.iterdir()) == []

"""Checkpoints from elsewhere are read without running them."""

import argparse
import os
import pickle
import re
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch

from langdg_d2.modeling.checkpoint_files import CheckpointError, read_checkpoint, write_weights


def official(**changes):
    """All that the official training saves."""
    layer = torch.nn.Linear(3, 2)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 10)
    layer(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    return {
        "cur_itrs": 750,
        "model_state": layer.state_dict(),
        "optimizer_state": optimizer.state_dict(),
        "scheduler_state": scheduler.state_dict(),
        "best_score": np.nanmean(np.array([0.25, np.nan])),
    } | changes


def weights_in(path, entry="model_state"):
    return read_checkpoint(path, weights=entry)[entry]


def refusal(path):
    with pytest.raises(CheckpointError) as caught:
        weights_in(path)
    message = str(caught.value)
    assert str(path) in message
    assert "weights_only" not in message  # torch's advice to take no precaution
    assert "add_safe_globals" not in message
    return message


@pytest.mark.parametrize(
    "score", [0.0, np.float64(0.5), np.float32(0.5), np.int64(3)], ids=lambda s: type(s).__name__
)
@pytest.mark.parametrize("zipped", [True, False])
def test_official_weights_are_read_whatever_number_the_score_is(score, zipped, tmp_path):
    content = official(best_score=score)
    torch.save(content, tmp_path / "best.pth", _use_new_zipfile_serialization=zipped)
    weights = weights_in(tmp_path / "best.pth")
    assert list(weights) == ["weight", "bias"]
    assert all(torch.equal(weights[name], content["model_state"][name]) for name in weights)


@pytest.mark.parametrize("error", [MemoryError, torch.OutOfMemoryError])
def test_memory_that_does_not_suffice_is_no_damage(error, tmp_path, monkeypatch):
    def load(*_, **__):
        raise error("too little")

    torch.save(official(), tmp_path / "best.pth")
    monkeypatch.setattr(torch, "load", load)
    with pytest.raises(error, match="too little"):
        weights_in(tmp_path / "best.pth")


@pytest.mark.parametrize("module", [b"numpy.core.multiarray", b"numpy._core.multiarray"])
def test_scores_of_numpy_1_and_2_are_accepted(module, tmp_path):
    torch.save(official(), tmp_path / "best.pth")
    source = zipfile.ZipFile(tmp_path / "best.pth")
    with zipfile.ZipFile(tmp_path / "other.pth", "w") as target:
        for entry in source.namelist():
            data = source.read(entry)
            for known in (b"numpy.core.multiarray", b"numpy._core.multiarray"):
                data = data.replace(b"c" + known + b"\nscalar\n", b"c" + module + b"\nscalar\n")
            assert not entry.endswith("data.pkl") or module in data
            target.writestr(entry, data)
    assert list(weights_in(tmp_path / "other.pth")) == ["weight", "bias"]


def test_reading_leaves_torchs_own_list_as_it_was(tmp_path):
    before = set(torch.serialization.get_safe_globals())
    torch.save(official(), tmp_path / "best.pth")
    weights_in(tmp_path / "best.pth")
    assert set(torch.serialization.get_safe_globals()) == before


class Payload:
    """Pickles as a call, which leaves a folder behind if it runs."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("kind", ["mkdir", "eval", "system"])
@pytest.mark.parametrize("place", ["alone", "score", "weight", "name"])
@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_file_never_runs(kind, place, zipped, tmp_path):
    marker = tmp_path / "ran"
    attack = {
        "mkdir": Payload(os.mkdir, str(marker)),
        "eval": Payload(eval, f"__import__('os').mkdir({str(marker)!r})"),
        "system": Payload(os.system, f"mkdir {marker}"),
    }[kind]
    content = {
        "alone": attack,
        "score": official(best_score=attack),
        "weight": official(model_state={"weight": attack}),
        "name": official(model_state={attack: torch.zeros(1)}),
    }[place]
    torch.save(content, tmp_path / "best.pth", _use_new_zipfile_serialization=zipped)
    message = refusal(tmp_path / "best.pth")
    assert not marker.exists()
    if zipped:
        assert ("builtins.eval" if kind == "eval" else "posix.") in message
        assert "refused" in message
    with suppress(Exception):
        torch.load(tmp_path / "best.pth", weights_only=False)
    assert marker.exists()  # it would have run


def test_every_truncation_and_other_files_are_refused(tmp_path):
    path = tmp_path / "best.pth"
    assert "there is no file" in refusal(path)
    torch.save(official(), path)
    whole = path.read_bytes()
    for size in range(0, len(whole), 97):
        path.write_bytes(whole[:size])
        said = (
            "cannot be read as a checkpoint: (it is )?damaged" if size else "it is empty; download"
        )
        assert re.search(said, refusal(path))
    path.write_bytes(pickle.dumps({"road_mu": [torch.zeros(4, 1, 1)]}))
    assert "not written by torch.save" in refusal(path)
    torch.jit.save(torch.jit.script(torch.nn.ReLU()), path)
    assert "cannot be read as a checkpoint" in refusal(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            [1],
            "no entry 'model_state' of weights, only list; projects/famix/import_famix.py",
        ),
        ({"model": {}, "iteration": 3}, "of weights, only 'model', 'iteration'"),
        (dict.fromkeys("abcdefg", 1), "only 'a', 'b', 'c', 4 more"),
        ({"model_state": 3}, "'model_state' is not a dict of tensors by their names"),
        ({"model_state": {"weight": [0.0]}}, "is not a dict of tensors"),
        ({"model_state": {3: torch.zeros(1)}}, "is not a dict of tensors"),
    ],
)
def test_files_without_weights_are_refused_by_what_they_hold(content, message, tmp_path):
    torch.save(content, tmp_path / "best.pth")
    assert message in refusal(tmp_path / "best.pth")


def test_what_was_written_is_read_and_a_failure_leaves_the_earlier_file(tmp_path, monkeypatch):
    path = tmp_path / "new folder/ours.pth"
    write_weights(path, {"a": torch.arange(3)}, entry="model")
    assert torch.equal(weights_in(path, "model")["a"], torch.arange(3))
    assert list(torch.load(path, weights_only=True)) == ["model"]

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="no space"):
        write_weights(path, {"a": torch.zeros(3)}, entry="model")
    assert torch.equal(weights_in(path, "model")["a"], torch.arange(3))
    assert [file.name for file in path.parent.iterdir()] == ["ours.pth"]


class Options(argparse.Namespace):
    """A class of a training script's own."""


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    "kept",
    [
        argparse.Namespace(lr=0.1, out=Path("here")),
        np.zeros((2, 3)),
    ],
    ids=lambda kept: type(kept).__name__,
)
def test_what_scripts_keep_beside_weights_is_left_out(kept, zipped, tmp_path):
    path = tmp_path / "best.pth"
    torch.save(official(args=kept), path, _use_new_zipfile_serialization=zipped)
    assert list(weights_in(path)) == ["weight", "bias"]


def test_a_scripts_own_classes_are_refused_by_name(tmp_path):
    torch.save(official(args=Options(a=1)), tmp_path / "best.pth")
    message = refusal(tmp_path / "best.pth")
    assert "it contains ['" in message
    assert "Options'], refused: only tensors" in message
    assert message.endswith("torch.save(model.state_dict(), FILE)")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
        (b"\n <!DOCTYPE html><html>", "it is a web page"),
        (b"<HTML><head>", "it is a web page"),
        (b"\x1f\x8b\x08weights", "compressed by gzip; unpack it"),
        (None, "it is a folder; name the file in it"),
    ],
)
def test_what_downloads_leave_instead_of_weights_is_named(content, reason, tmp_path):
    path = tmp_path / "best.pth"
    path.mkdir() if content is None else path.write_bytes(content)
    assert reason in refusal(path)

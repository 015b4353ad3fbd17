"""Which checkpoint wins."""

import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.checkpoint import DetectionCheckpointer

from langdg_d2.engine import StrictCheckpointer, starting_checkpoint
from langdg_d2.modeling.checkpoint_files import CheckpointError


@pytest.fixture
def earlier_run(tmp_path):
    DetectionCheckpointer(torch.nn.Linear(1, 1), str(tmp_path)).save("model_0000009")
    return tmp_path


@pytest.mark.parametrize("named", ["", "named.pth"])
@pytest.mark.parametrize(
    ("resume", "eval_only", "expected"),
    [
        (False, False, "{named}"),
        (True, False, "{last}"),
        (True, True, "{last}"),
        (False, True, "{named or last}"),
    ],
)
def test_earlier_run_wins_when_resumed_and_the_named_file_otherwise(
    earlier_run, tmp_path, named, resume, eval_only, expected
):
    last = str(earlier_run / "model_0000009.pth")
    named = str(tmp_path / named) if named else ""
    if named:
        torch.save({}, named)
    wanted = {"{named}": named, "{last}": last, "{named or last}": named or last}[expected]
    found = starting_checkpoint(
        output_dir=str(earlier_run), init_checkpoint=named, resume=resume, eval_only=eval_only
    )
    assert found == wanted


def test_without_an_earlier_run_resuming_starts_from_the_named_file(tmp_path):
    named = str(tmp_path / "a.pth")
    arguments = {"output_dir": str(tmp_path), "init_checkpoint": named}
    with pytest.raises(FileNotFoundError, match=r"a\.pth' does not exist"):
        starting_checkpoint(**arguments, resume=True, eval_only=False)
    torch.save({}, named)
    assert starting_checkpoint(**arguments, resume=True, eval_only=False) == named


def test_checkpoint_that_does_not_fill_the_model_is_refused(tmp_path):
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1))
    StrictCheckpointer(model, str(tmp_path)).save("whole")
    StrictCheckpointer(model).load(str(tmp_path / "whole.pth"))
    for broken in ({"1.weight": torch.zeros(1, 3)}, {"0.weight": torch.zeros(9, 9)}):
        torch.save({"model": broken}, tmp_path / "broken.pth")
        with pytest.raises(ValueError, match=r"does not fit the model: [34] weights .*'0\."):
            StrictCheckpointer(model).load(str(tmp_path / "broken.pth"))


def test_nothing_to_evaluate_is_an_error_that_says_what_to_pass(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"train\.init_checkpoint=FILE, or train first"):
        starting_checkpoint(
            output_dir=str(tmp_path), init_checkpoint="", resume=False, eval_only=True
        )


class Evil:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


@pytest.mark.parametrize("suffix", [".pkl", ".pyth", ".pth"])
def test_code_in_a_checkpoint_never_runs(tmp_path, suffix):
    victim = tmp_path / "victim"
    file = tmp_path / f"checkpoint{suffix}"
    file.write_bytes(pickle.dumps({"model": Evil(victim)}))
    with pytest.raises(CheckpointError, match=re.escape(f"'{file}' cannot be read")):
        StrictCheckpointer(torch.nn.Linear(1, 1)).load(str(file))
    assert not victim.exists()


def test_strange_checkpoints_are_named_with_the_remedy(tmp_path):
    file = tmp_path / "strange.pth"

    def load(path):
        StrictCheckpointer(torch.nn.Linear(1, 1)).load(path)

    for content in (b"", b"text"):
        file.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"strange\.pth' cannot be read as a checkpoint"):
            load(str(file))
    official = {"cur_itrs": 3, "model_state": {"backbone.conv1.weight": torch.zeros(1)}}
    for best_score in (0.5, np.float64(0.5)):
        torch.save(official | {"best_score": best_score}, file)
        with pytest.raises(CheckpointError, match=r"tools/import_famix\.py"):
            load(str(file))

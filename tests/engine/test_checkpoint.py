"""Which checkpoint wins, and that none is half written or damaged."""

import errno
import logging
import os
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.engine import TrainerBase

from langdg_d2.engine import StrictCheckpointer, find_starting_point
from langdg_d2.engine.checkpoint import PeriodicCheckpointer
from langdg_d2.modeling.checkpoint_files import CheckpointError, read_checkpoint
from langdg_d2.structures import LabelSpace
from langdg_d2.utils.errors import LangDGError


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
        torch.save({"model": {}}, named)
    wanted = {"{named}": named, "{last}": last, "{named or last}": named or last}[expected]
    found = find_starting_point(
        output_dir=str(earlier_run),
        init_checkpoint=named,
        max_iter=10,
        resume=resume,
        eval_only=eval_only,
    )
    assert found == (wanted, resume and not eval_only)


def test_without_an_earlier_run_resuming_starts_from_the_named_file(tmp_path):
    named = str(tmp_path / "a.pth")
    arguments = {"output_dir": str(tmp_path), "init_checkpoint": named, "max_iter": 10}
    with pytest.raises(FileNotFoundError, match=r"a\.pth' does not exist"):
        find_starting_point(**arguments, resume=True, eval_only=False)
    torch.save({"model": {}}, named)
    assert find_starting_point(**arguments, resume=True, eval_only=False) == (named, False)


def test_checkpoint_that_does_not_fill_the_model_is_refused(tmp_path):
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1))
    StrictCheckpointer(model, str(tmp_path)).save("whole")
    StrictCheckpointer(model).load(str(tmp_path / "whole.pth"))
    deeper = model.state_dict() | {"2.weight": torch.zeros(1, 1)}
    others = {
        r"3 weights are .*\(0\.bias, 0\.weight, 1\.bias\)": {"1.weight": torch.zeros(1, 3)},
        r"4 weights are .*, 1 more\)": {"0.weight": torch.zeros(9, 9)},
        r"1 weights are .*\(2\.weight\)": deeper,
    }
    for message, weights in others.items():
        torch.save({"model": weights}, tmp_path / "broken.pth")
        with pytest.raises(LangDGError, match=f"^use the config .*{message}"):
            StrictCheckpointer(model).load(str(tmp_path / "broken.pth"))


@pytest.mark.parametrize("prefix", ["module.", "model."])
def test_a_wrappers_prefix_is_taken_off(tmp_path, prefix):
    model, other = torch.nn.Linear(2, 3), torch.nn.Linear(2, 3)
    weights = {prefix + name: weight for name, weight in other.state_dict().items()}
    torch.save({"model": weights}, tmp_path / "wrapped.pth")
    StrictCheckpointer(model).load(str(tmp_path / "wrapped.pth"))
    assert torch.equal(model.weight, other.weight)


def test_nothing_to_evaluate_is_an_error_that_says_what_to_pass(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"train\.init_checkpoint=FILE, or train first"):
        find_starting_point(
            output_dir=str(tmp_path), init_checkpoint="", max_iter=10, resume=False, eval_only=True
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
        with pytest.raises(CheckpointError, match=r"projects/famix/import_famix\.py"):
            load(str(file))


@pytest.fixture
def saved(tmp_path):
    """Folder with three checkpoints, whose weights tell their iteration."""
    model = torch.nn.Linear(300, 3)
    for iteration in (1, 3, 5):
        torch.nn.init.constant_(model.weight, iteration)
        StrictCheckpointer(model, str(tmp_path)).save(f"model_{iteration:07d}")
    return tmp_path


def resume(folder):
    return find_starting_point(
        output_dir=str(folder), init_checkpoint="", max_iter=10, resume=True, eval_only=False
    ).checkpoint


def test_no_flipped_bit_is_ever_loaded(saved):
    file = saved / "model_0000005.pth"
    whole = file.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for place in rng.choice(len(whole), 200, replace=False):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << rng.integers(8)
        file.write_bytes(flipped)
        try:
            found = read_checkpoint(file)
        except CheckpointError:
            refused += 1
        else:  # in what only fills a gap
            assert torch.equal(found["model"]["weight"], torch.full((3, 300), 5.0))
    assert refused > 100
    for length in (0, 3, 100, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match="cannot be read as a checkpoint"):
            read_checkpoint(file)


def test_the_latest_whole_checkpoint_is_resumed_and_the_others_are_named(saved, caplog):
    last, before, first = (saved / f"model_000000{k}.pth" for k in (5, 3, 1))
    assert resume(saved) == str(last)
    last.unlink()
    content = bytearray(before.read_bytes())
    content[len(content) // 2] ^= 1
    before.write_bytes(content)
    assert resume(saved) == str(first)
    assert "no file" in caplog.text
    assert "model_0000003.pth' cannot be read as a checkpoint: it is damaged" in caplog.text
    first.write_bytes(b"")
    with pytest.raises(
        CheckpointError, match=r"no readable checkpoint in '.*5\.pth.*3\.pth.*1\.pth.*Start over"
    ):
        resume(saved)


def test_a_damaged_checkpoint_that_is_named_is_an_error(saved):
    named = saved / "model_0000003.pth"
    named.write_bytes(named.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=r"3\.pth' cannot be read .* damaged"):
        StrictCheckpointer(torch.nn.Linear(300, 3), str(saved)).start(str(named), resume=False)


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_is_one_error_and_leaves_what_there_was(saved, monkeypatch, step):
    names = {path: path.read_bytes() for path in saved.iterdir()}

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, step, full)
    checkpointer = StrictCheckpointer(torch.nn.Linear(300, 3), str(saved))
    with pytest.raises(OSError, match=r"No space left.*nothing was changed.*7\.pth'"):
        checkpointer.save("model_0000007")
    assert {path: path.read_bytes() for path in saved.iterdir()} == names


def test_what_a_killed_process_was_writing_is_removed(saved):
    for name in (".model_0000007.pth.1.tmp", ".last_checkpoint.1.tmp", ".benchmark.md.1.tmp"):
        (saved / name).write_bytes(b"half")
    model = torch.nn.Linear(300, 3)
    StrictCheckpointer(model, str(saved)).start(resume(saved), resume=False)
    assert [path.name for path in saved.glob(".*.tmp")] == [".benchmark.md.1.tmp"]
    assert model.weight[0, 0].item() == 5


def test_checkpoints_from_before_a_resumption_are_counted_and_removed(saved):
    trainer = TrainerBase()
    trainer.run_step = lambda: None
    checkpointer = StrictCheckpointer(torch.nn.Linear(1, 1), str(saved), trainer=trainer)
    trainer.register_hooks([PeriodicCheckpointer(checkpointer, period=2, max_to_keep=3)])

    def train(start):
        trainer.train(start, 10)
        return sorted(int(path.stem[6:]) for path in saved.glob("model_0*.pth"))

    assert train(6) == [5, 7, 9]
    checkpointer.save("model_0000002")
    assert train(0) == [2, 5, 7, 9]  # nothing counts of a run that this one does not go on with


def test_resuming_without_the_name_of_the_last_checkpoint_does_not_start_over(saved):
    (saved / "last_checkpoint").unlink()
    with pytest.raises(FileNotFoundError, match=r"no file 'last_checkpoint'"):
        resume(saved)


class OfClasses(torch.nn.Linear):
    """A model that knows its classes."""

    def __init__(self, *names):
        super().__init__(2, 3)
        self.classes = LabelSpace(names)


def test_classes_are_kept_and_others_refused_by_name(tmp_path, caplog):
    StrictCheckpointer(OfClasses("a", "b", "c"), str(tmp_path)).save("own")
    path = str(tmp_path / "own.pth")
    same = StrictCheckpointer(OfClasses("a", "b", "c"))
    same.load(path)
    assert same.classes == LabelSpace(["a", "b", "c"])
    other = OfClasses("a", "b", "d")
    with pytest.raises(LangDGError, match=r"has 3 classes \(a, b, c\), .* 3 \(a, b, d\): use the"):
        StrictCheckpointer(other).load(path)
    with pytest.raises(LangDGError, match="has 3 classes"):  # the last of an earlier run
        StrictCheckpointer(other, str(tmp_path)).start(path, resume=True)
    assert all(record.levelno < logging.WARNING for record in caplog.records)
    # Training may begin with the weights of other classes.
    StrictCheckpointer(other, str(tmp_path / "new"), same_classes=False).start(path, resume=False)
    assert "has 3 classes (a, b, c)" in caplog.text
    StrictCheckpointer(other, same_classes=False).load(path)


def test_weights_alone_do_not_tell_their_classes(tmp_path):
    torch.save({"model": OfClasses("a").state_dict()}, tmp_path / "old.pth")
    checkpointer = StrictCheckpointer(OfClasses("b"))
    checkpointer.load(str(tmp_path / "old.pth"))
    assert checkpointer.classes is None


def test_weights_that_are_not_finite_are_refused(tmp_path):
    model = torch.nn.Linear(2, 1)
    weights = {**model.state_dict(), "bias": torch.tensor([torch.inf])}
    torch.save({"model": weights}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="values in bias: use an earlier checkpoint"):
        StrictCheckpointer(model).load(str(tmp_path / "a.pth"))

"""Configurations as plain data, and the state of checkouts, with the real git."""

import json
import math
import os
import subprocess
from pathlib import Path

import pytest
import torch
from detectron2.config import LazyCall
from omegaconf import OmegaConf
from torch import nn

from langdg_d2.utils.provenance import differing, environment, git_state, plain_data


def test_lazy_configs_become_data_with_dotted_names() -> None:
    cfg = OmegaConf.create({"width": 8, "size": ["${width}", 2.5], "unset": None})
    cfg["layer"] = LazyCall(nn.Conv2d)(in_channels="${width}", out_channels=4)
    cfg.layer["make"] = torch.zeros
    plain = plain_data(cfg)
    assert plain["size"] == [8, 2.5]
    assert plain["unset"] is None
    assert plain["layer"]["in_channels"] == 8
    assert plain["layer"]["_target_"] == "torch.nn.modules.conv.Conv2d"
    assert plain["layer"]["make"].endswith("zeros")
    assert json.loads(json.dumps(plain)) == plain


def test_objects_are_named_by_their_class_and_odd_numbers_written_out() -> None:
    value = {1: nn.Sequential(), 2: nn.Linear(2, 3), "low": -math.inf, "path": Path("a/b")}
    value["pair"] = (1, True)
    assert plain_data(value) == {
        "1": "torch.nn.modules.container.Sequential(training=True)",
        "2": "torch.nn.modules.linear.Linear(in_features=2, out_features=3, training=True)",
        "low": "-inf",
        "path": "a/b",
        "pair": [1, True],
    }


def test_a_reference_to_nothing_is_recorded_as_written() -> None:
    cfg = OmegaConf.create({"a": "${missing.key}", "b": 1})
    assert plain_data(cfg) == {"a": "${missing.key}", "b": 1}


def test_differing_leaves_are_listed_outermost_first() -> None:
    one, other = {"a": {"b": [1, 2]}, "c": 3, "d": {}}, {"a": {"b": [1]}, "c": 4, "d": {}}
    found = differing(one, other)
    assert found == {"c": (3, 4), "a.b.1": (2, None)}
    assert list(found) == ["c", "a.b.1"]


def run_git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A package in a checkout with one commit."""
    package = tmp_path / "project/package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (tmp_path / "project/config.py").write_text("a = 1\n")
    run_git(tmp_path / "project", "init", "-q")
    run_git(tmp_path / "project", "add", ".")
    run_git(tmp_path / "project", "commit", "-qm", "first")
    return package


def test_a_checkout_gives_its_commit_and_whether_any_tracked_file_changed(checkout: Path) -> None:
    commit = run_git(checkout, "rev-parse", "HEAD")
    (checkout.parent / "output.txt").write_text("not tracked")
    assert git_state(checkout) == {"commit": commit, "dirty": False}
    (checkout.parent / "config.py").write_text("a = 2\n")
    assert git_state(checkout) == {"commit": commit, "dirty": True}


def test_no_git_state_without_checkout_commit_or_git(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = checkout / "site-packages/other"  # lies in the checkout, but is none of its files
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("")
    assert git_state(installed) is None
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    (fresh / "__init__.py").write_text("")
    assert git_state(fresh) is None
    run_git(fresh, "init", "-q")
    run_git(fresh, "add", ".")
    assert git_state(fresh) is None
    assert git_state(tmp_path / "nowhere") is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(checkout) is None


def test_environment_names_what_numbers_and_speed_depend_on() -> None:
    facts = environment()
    assert facts["threads"] == str(torch.get_num_threads())
    assert 1 <= int(facts["cores"]) <= os.cpu_count()
    assert {"processor", "instructions", "GPUs", "processes"} < facts.keys()
    assert all(facts.values())

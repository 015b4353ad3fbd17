"""Files of the official release, converted as users do it, and used."""

import pickle
import runpy
import sys
from pathlib import Path

import import_famix
import numpy as np
import pytest
import torch
from official_release import to_official

from langdg_d2.engine import StrictCheckpointer
from langdg_d2.styles import StyleBank

ROOT = Path(__file__).parents[3]
TOOL = ROOT / "projects/famix/import_famix.py"
CONFIG = str(ROOT / "configs/langdg_gta5.py")


@pytest.fixture
def arguments(tiny_model, tmp_path):
    """Function that completes the tool's arguments for a tiny model."""

    def complete(*options, opts=()):
        # Weights that are not there: whoever asks for them fails.
        absent = f"model.backbone.tower.weights={tmp_path / 'absent.pt'}"
        return ["--config-file", CONFIG, *map(str, options), *tiny_model, absent, *opts]

    return complete


@pytest.fixture
def run(arguments, tmp_path, monkeypatch, capsys):
    """Function that runs the tool in this process; returns what it printed, or what it refused."""
    monkeypatch.chdir(tmp_path)

    def run_tool(*options, opts=(), refused=False):
        if not refused:
            import_famix.main(arguments(*options, opts=opts))
            return capsys.readouterr().out
        with pytest.raises(SystemExit) as caught:
            import_famix.main(arguments(*options, opts=opts))
        return caught.value.code

    return run_tool


@pytest.fixture
def model(random_segmentor, tiny_model):
    return random_segmentor(tiny_model)


@pytest.fixture
def checkpoint(model, tmp_path):
    """Its weights as the official training saves them."""
    state = model.state_dict()
    content = {
        "cur_itrs": 750,
        "model_state": to_official(state, model_state=state),
        "optimizer_state": {"state": {0: {"momentum_buffer": torch.zeros(2)}}, "param_groups": []},
        "scheduler_state": {"last_epoch": 750, "base_lrs": [0.01, 0.1], "power": 0.9},
        "best_score": np.float64(0.48),
    }
    path = tmp_path / "best.pth"
    torch.save(content, path)
    return path


@pytest.fixture
def saved_params(tmp_path):
    """A style bank as the official mining saves it."""
    content = {
        f"{name}_{part}": [torch.rand(16, 1, 1) for _ in range(count)]
        for part in ("mu", "std")
        for name, count in {"road": 2, "traffic light": 1, "255": 3}.items()
    }
    path = tmp_path / "saved_params.pkl"
    path.write_bytes(pickle.dumps(content))
    return path


def test_imported_checkpoint_round_trips_exactly(
    run, model, checkpoint, tiny_model, tmp_path, random_segmentor
):
    output = run("--checkpoint", checkpoint, "--output", "ours.pth")
    assert f"{len(model.state_dict())} weights of '{checkpoint}' are in 'ours.pth'" in output
    other = random_segmentor(tiny_model)
    image = [{"image": torch.randint(0, 256, (3, 32, 48), dtype=torch.uint8)}]
    wanted = model(image)[0]["sem_seg"]
    assert wanted.isfinite().all()
    assert not torch.equal(other(image)[0]["sem_seg"], wanted)
    StrictCheckpointer(other).load(str(tmp_path / "ours.pth"))
    assert torch.equal(other(image)[0]["sem_seg"], wanted)

    run("--checkpoint", "ours.pth", "--reverse", "--output", "back.pth")
    back = torch.load(tmp_path / "back.pth", weights_only=True)["model_state"]
    state = model.state_dict()
    expected = to_official(state, model_state=state)
    assert list(back) == list(expected)
    assert all(torch.equal(back[name], value) for name, value in expected.items())


def test_imported_bank_round_trips_exactly(run, model, checkpoint, saved_params, tmp_path):
    given = ("--style-bank", saved_params)
    output = run(*given, "--clip-from", checkpoint, "--output", "styles.safetensors")
    assert "6 styles of" in output
    bank = StyleBank.load(tmp_path / "styles.safetensors")
    bank.check(model.backbone)
    assert {name: n for name, n in bank.counts().items() if n} == {
        "road": 2,
        "traffic light": 1,
        "ignore": 3,
    }
    assert bank.header.source == "gta5_sem_seg_train"

    run("--style-bank", "styles.safetensors", "--reverse", "--output", "back.pkl")
    back = pickle.loads((tmp_path / "back.pkl").read_bytes())
    for key, tensors in pickle.loads(saved_params.read_bytes()).items():
        assert len(back[key]) == len(tensors)
        assert all(torch.equal(a, b) for a, b in zip(back[key], tensors, strict=True))


def test_without_a_checkpoint_the_banks_clip_is_the_configs(run, saved_params, tmp_path):
    given = ("--style-bank", saved_params, "--output", "styles.safetensors")
    assert "absent.pt' are neither a file nor a tag" in run(*given, refused=True)
    run(*given, opts=["model.backbone.tower.weights=null"])
    assert len(StyleBank.load(tmp_path / "styles.safetensors")) == 6


def test_bad_input_is_reported_and_leaves_no_file(run, checkpoint, saved_params, tmp_path):
    whole = torch.load(checkpoint, weights_only=False)
    del whole["model_state"]["classifier.classifier.3.bias"]
    whole["model_state"]["backbone.layer9.weight"] = torch.zeros(1)
    torch.save(whole, tmp_path / "other.pth")
    (tmp_path / "half.pth").write_bytes(checkpoint.read_bytes()[:5000])
    cases = {
        ("--checkpoint", "missing.pth"): "there is no file 'missing.pth'",
        ("--checkpoint", "half.pth"): "'half.pth' cannot be read as a checkpoint: it is damaged",
        ("--checkpoint", saved_params): "not written by torch.save",
        ("--checkpoint", checkpoint, "--reverse"): "has no entry 'model' of weights",
        ("--checkpoint", "other.pth"): "backbone.layer9.weight is unknown",
        ("--style-bank", checkpoint, "--clip-from", checkpoint): "like a checkpoint (.pth)",
    }
    for options, message in cases.items():
        output = run(*options, "--output", "out", refused=True)
        assert message in output
        assert output.startswith("error: ")
        assert not (tmp_path / "out").exists()
    assert "classifier.classifier.3.bias is missing" in run(
        "--checkpoint", "other.pth", "--output", "out", refused=True
    )


def test_misspelt_override_is_one_error_line(run, checkpoint):
    for change, message in {
        "model.backbne.x=1": "error: override 'model.backbne.x=1': the config has no key",
        "model": "error: ",
    }.items():
        output = run("--checkpoint", checkpoint, "--output", "out", opts=[change], refused=True)
        assert output.startswith(message)


def test_an_existing_file_is_not_replaced(run, checkpoint):
    before = checkpoint.read_bytes()
    output = run("--checkpoint", checkpoint, "--output", checkpoint, refused=True)
    assert "delete it or choose another" in output
    output = run("--checkpoint", checkpoint, "--output", checkpoint / "a.pth", refused=True)
    assert "best.pth' is a file, expected a folder; choose another output" in output
    assert checkpoint.read_bytes() == before


def test_command_line_succeeds_quietly_and_fails_with_one_line(
    arguments, checkpoint, tmp_path, monkeypatch, capfd
):
    monkeypatch.chdir(tmp_path)
    options = arguments("--checkpoint", checkpoint, "--output", "from_best.pth")
    monkeypatch.setattr(sys, "argv", [str(TOOL), *options])
    runpy.run_path(str(TOOL), run_name="__main__")
    assert capfd.readouterr().err == ""
    assert (tmp_path / "from_best.pth").exists()
    # Python prints a text that it exits with, and its exit code is 1.
    options = arguments("--checkpoint", "missing.pth", "--output", "from_missing.pth")
    with pytest.raises(SystemExit) as caught:
        import_famix.main(options)
    bad = caught.value.code
    assert bad.startswith("error: there is no file 'missing.pth'")
    assert len(bad.splitlines()) == 1
    assert capfd.readouterr() == ("", "")

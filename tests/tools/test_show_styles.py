"""Showing a bank as users do, with and without the source set it was mined from."""

from pathlib import Path

import cv2
import pytest
from detectron2.config import LazyConfig, instantiate

from langdg_d2.engine import apply_overrides
from langdg_d2.styles import StyleBank

ROOT = Path(__file__).parents[2]
CONFIG = str(ROOT / "configs/langdg_gta5.py")


@pytest.fixture
def overrides(datasets, tiny_model, tmp_path, monkeypatch):
    """Of the config; with no step of mining a style is its patch's own."""
    monkeypatch.setenv("DETECTRON2_DATASETS", str(datasets))
    return [
        *tiny_model,
        f"train.output_dir={tmp_path}",
        "train.device=cpu",
        "model.backbone.tower.weights=null",
        "dataloader.crop_size=[40,60]",
        "styles.mining.batches.batch_size=2",
        "styles.mining.num_workers=0",
        "styles.mining.miner.pin.steps=0",
    ]


@pytest.fixture
def bank(overrides, tmp_path):
    """File of a mined bank."""
    instantiate(apply_overrides(LazyConfig.load(CONFIG), overrides).styles.mining).run()
    return tmp_path / "style_bank.safetensors"


@pytest.fixture
def run(load_tool, tmp_path, capsys):
    """Function that runs the tool; gives what it printed or how it refused."""
    tool = load_tool("show_styles")

    def run_tool(bank, *options):
        try:
            tool.main([str(bank), "--output", str(tmp_path / "shown"), *options])
        except SystemExit as end:
            return f"{end.code}\n{capsys.readouterr().err}"
        return capsys.readouterr().out

    return run_tool


def test_unmined_styles_lie_at_their_own_patches(run, bank, overrides, tmp_path):
    output = run(bank, "--nearest", "2", "--config-file", CONFIG, "--opts", *overrides)
    assert f"styles: '{tmp_path / 'shown/styles.html'}'" in output
    files = sorted(path.name for path in (tmp_path / "shown").iterdir())
    assert files == [
        "projection_by_class.png",
        "projection_by_prompt.png",
        "styles.html",
    ]
    for name in files[:-1]:
        assert cv2.imread(str(tmp_path / "shown" / name)).size
    text = (tmp_path / "shown/styles.html").read_text()
    classes = sum(count > 0 for count in StyleBank.load(bank).counts().values())
    parts = text.partition("Nearest source patches</h2>")[2].split("<h3>")[1:]
    assert len(parts) == classes
    for part in parts:
        distance, image = part.partition("<figcaption>")[2].split(",")[:2]
        assert float(distance) < 1e-5
        assert image.strip()[:5].isdigit()
    assert len(text) < 1_000_000


def test_a_bank_alone_is_shown_without_patches_and_without_config(run, bank, tmp_path):
    run(bank, "--palette", "colorblind")
    assert "Nearest source patches" not in (tmp_path / "shown/styles.html").read_text()
    assert (tmp_path / "shown/projection_by_class.png").exists()


def test_what_cannot_be_shown_is_told_in_a_line_and_leaves_no_file(run, bank, overrides, tmp_path):
    (tmp_path / "text.safetensors").write_text("not a bank")
    StyleBank.load(bank).rows([]).save(tmp_path / "empty.safetensors")
    config = ("--config-file", CONFIG)
    opts = ("--opts", *overrides)
    cases = [
        (tmp_path / "absent.safetensors", (), "cannot be read as a style bank"),
        (tmp_path / "text.safetensors", (), "cannot be read as a style bank"),
        (tmp_path / "empty.safetensors", (), "contains no style"),
        (tmp_path / "empty.safetensors", (*config, *opts), "contains no style"),
        (bank, (*config, *opts, "styles.grid.rows=2"), "- grid: "),
        (bank, (*config, *opts, "model.backbone.restyled_layer=layer2"), "- layer: "),
        (bank, (*config, *opts, "no.such.key=1"), "no key 'no.such.key'"),
        (bank, (*config, *opts, "a b"), "a b"),
        (bank, (*config, *opts, "dataloader.crop_size=[4000,60]"), "4000"),
    ]
    for path, options, message in cases:
        output = run(path, *options)
        assert output.startswith("error: ")
        assert message in output
        assert not (tmp_path / "shown").exists()


def test_options_that_make_no_sense_are_refused(run):
    for options, message in {
        ("--opts", "a=1"): "need --config-file",
        ("--batches", "1"): "need --config-file",
        ("--nearest", "0"): "must be 1 or more",
        ("--palette", "magic"): "invalid choice: 'magic'",
    }.items():
        assert message in run("bank", *options)

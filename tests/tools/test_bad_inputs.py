"""Commands given what they cannot use: one line, exit code 1, nothing written.

Here are whole commands. Each kind of file has its own tests: configs and overrides in tests/engine,
banks in tests/styles, checkpoints and CLIP's weights in tests/modeling, images, labels and data
sets in tests/data, videos in tests/visualization, records of runs in tests/evaluation.
"""

import runpy
import sys
from pathlib import Path

import pytest
from detectron2.engine import default_argument_parser

from langdg_d2 import engine

CONFIG = str(Path(__file__).parents[2] / "configs/langdg_gta5.py")

# override -> what the line says; before anything is mined or trained
TRAINING = {
    "train.max_iters=3": "has no key 'train.max_iters'. Nearest: ['train.max_iter'",
    "train.output_dir=FILE/run": "FILE' is a file, expected a folder",
    "train.init_checkpoint=nothing.pth": "'nothing.pth' does not exist",
    "model.sem_seg_head.input_shape.res2.channels=9": "set model.sem_seg_head.input_shape.res2.c",
    "model.backbone.trainable=[layer9]": "trainable groups ['layer9'] do not exist",
}


@pytest.mark.parametrize(
    ("name", "override"),
    [("train_net", override) for override in TRAINING]
    + [("mine_styles", override) for override in list(TRAINING)[:2]],
)
def test_training_and_mining_are_not_begun(
    name, override, load_tool, datasets, tiny_model, tmp_path, monkeypatch
):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(datasets))
    monkeypatch.chdir(tmp_path)
    Path("FILE").write_text("mine")
    out, options = "train.output_dir=out", ["--config-file", CONFIG, "--num-gpus", "0"]
    sizes = ["model.backbone.tower.weights=null", "styles.mining.batches.batch_size=2"]
    changes = [out, *tiny_model, *sizes, override]
    with pytest.raises(SystemExit) as stopped:
        engine.launch(
            load_tool(name).main, default_argument_parser().parse_args([*options, *changes])
        )
    message = stopped.value.code
    assert isinstance(message, str)  # which Python prints, with exit code 1
    assert message.startswith("error: ")
    assert TRAINING[override] in message
    assert "\n" not in message
    assert Path("FILE").read_text() == "mine"
    assert not list(tmp_path.rglob("*.safetensors*"))
    assert not list(tmp_path.rglob("*.pth"))
    assert not list(tmp_path.rglob("config.yaml"))


def test_a_data_set_that_is_missing_stops_training_with_its_folder(
    load_tool, tiny_model, tmp_path, monkeypatch
):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path / "nowhere"))
    monkeypatch.chdir(tmp_path)
    options = ["--config-file", CONFIG, "--num-gpus", "0", "train.output_dir=out", *tiny_model]
    Path("out").mkdir()
    Path("out/config.yaml").write_text("of an earlier run")
    with pytest.raises(SystemExit, match=r"error: .*nowhere.* does not exist. Set DETECTRON2_DATA"):
        engine.launch(load_tool("train_net").main, default_argument_parser().parse_args(options))
    assert Path("out/config.yaml").read_text() == "of an earlier run"


@pytest.mark.parametrize("option", ["--resume", "--overwrite", "--eval-only"])
def test_mining_has_no_options_of_training(option, monkeypatch, capsys):
    tool = str(Path(__file__).parents[2] / "tools/mine_styles.py")
    monkeypatch.setattr(sys, "argv", [tool, "--config-file", CONFIG, option])
    with pytest.raises(SystemExit, match="2"):
        runpy.run_path(tool, run_name="__main__")
    assert f"unrecognized arguments: {option}" in capsys.readouterr().err


def test_mining_leaves_a_bank_and_its_config_as_they_are(load_tool, tmp_path):
    bank, config = tmp_path / "style_bank.safetensors", tmp_path / "config.yaml"
    for file in (bank, config):
        file.write_text("of an earlier run")
    arguments = ["--config-file", CONFIG, "--num-gpus", "0", f"train.output_dir={tmp_path}"]
    with pytest.raises(SystemExit, match="there is already a style bank at"):
        engine.launch(
            load_tool("mine_styles").main, default_argument_parser().parse_args(arguments)
        )
    assert {file.read_text() for file in (bank, config)} == {"of an earlier run"}


# tool -> arguments; FILE is a file where a folder has to be
OUTPUTS = {
    "benchmark": ["infer", "--config-file", CONFIG, "--output", "FILE"],
    "check_dataset": ["gta5", "--overlays", "FILE/overlays"],
    "describe_datasets": ["--output", "FILE/maps.md"],
    "export_model": ["--config-file", CONFIG, "--checkpoint", "a.pth", "--output", "FILE"],
    "show_styles": ["a.safetensors", "--output", "FILE"],
    "uncompress_images": ["FOLDER", "--output", "FILE"],
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_an_output_that_is_a_file_is_told_before_the_work(
    name, load_tool, datasets, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    Path("FILE").write_text("mine")
    Path("FOLDER").mkdir()
    Path("FOLDER/a.txt").write_text("")
    arguments = OUTPUTS[name] + ["--root", str(datasets)] * (name == "check_dataset")
    with pytest.raises(SystemExit) as stopped:
        load_tool(name).main(arguments)
    assert "FILE' is a file, expected a folder; choose another output" in stopped.value.code
    assert Path("FILE").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["FILE", "FOLDER"]


def test_an_empty_folder_is_no_data_set_to_copy(load_tool, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        load_tool("uncompress_images").main([str(tmp_path), "--output", str(tmp_path / "../out")])
    assert stopped.value.code == 2
    assert f"'{tmp_path}' is empty" in capsys.readouterr().err


def test_nothing_is_measured_if_the_config_refuses_a_value(load_tool, tmp_path):
    options = ["--output", str(tmp_path / "out"), "--opts", "train.seed=one"]
    with pytest.raises(SystemExit, match="train.seed is 1, expected a number, not text"):
        load_tool("benchmark").main(["infer", "--config-file", CONFIG, *options])
    assert not (tmp_path / "out").exists()

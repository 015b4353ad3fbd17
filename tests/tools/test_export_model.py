"""Exported files give what the checkpoint's model gives, and what is wrong is named."""

import contextlib
import io
import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn

from langdg_d2.export import FORMATS, Export, ExportedSegmentor, Parity, export_segmentor

ROOT = Path(__file__).parents[2]
CONFIG = str(ROOT / "configs/langdg_gta5.py")


class Exported(NamedTuple):
    """A run of the tool: its folder, what it printed, the model, and the files, opened."""

    folder: Path
    printed: str
    model: nn.Module
    files: dict[str, ExportedSegmentor]


@pytest.fixture(scope="module")
def tool(load_tool: Callable[[str], ModuleType]) -> ModuleType:
    return load_tool("export_model")


@pytest.fixture(scope="module")
def overrides(
    tiny_model: list[str], tiny_clip: str, tmp_path_factory: pytest.TempPathFactory
) -> list[str]:
    """Those of the tiny model, with fewer layers, for every one of them takes time to export."""
    config = json.loads(Path(tiny_clip).read_text())
    config["vision_cfg"]["layers"] = [1, 1, 1, 1]
    path = tmp_path_factory.mktemp("clip") / "short-clip-for-tests.json"
    path.write_text(json.dumps(config))
    tower = f"model.backbone.tower.name={path}"
    fewer = ["model.backbone.trainable=[layer4]", "model.sem_seg_head.atrous_rates=[6]"]
    return [*tiny_model, tower, *fewer, "model.backbone.output_stride=32"]


@pytest.fixture(scope="module")
def trained(
    overrides: list[str],
    random_segmentor: Callable[[list[str]], nn.Module],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[nn.Module, str]:
    """A model, ready for evaluation, and the file of its checkpoint."""
    torch.manual_seed(1)
    model = random_segmentor(overrides)
    path = tmp_path_factory.mktemp("trained") / "model_final.pth"
    torch.save({"model": model.state_dict()}, path)
    return model, str(path)


@pytest.fixture(scope="module")
def export(
    tool: ModuleType, trained: tuple[nn.Module, str], overrides: list[str]
) -> Callable[..., None]:
    """Function that runs the tool on the trained model; options may repeat its own."""

    def run(*options: object, opts: tuple[str, ...] = ()) -> None:
        fixed = ["--config-file", CONFIG, "--checkpoint", trained[1]]
        tool.main([*fixed, *map(str, options), "--opts", *overrides, *opts])

    return run


@pytest.fixture(scope="module")
def exported(
    export: Callable[..., None],
    tool: ModuleType,
    trained: tuple[nn.Module, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Exported:
    folder = tmp_path_factory.mktemp("exports") / "new"
    made: list[Export] = []

    def watched(*args: Any, **kwargs: Any) -> list[Export]:
        made.extend(export_segmentor(*args, **kwargs))
        return made

    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(io.StringIO()) as printed,
    ):
        patch.setattr(tool, "export_segmentor", watched)  # opening the files again takes seconds
        export("--output", folder, "--sizes", "65x79", "96x64")
    files = {one.path.suffix[1:]: one.segmentor for one in made}
    return Exported(folder, printed.getvalue(), trained[0], files)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    "shape", [(1, 64, 64), (1, 65, 95), (3, 93, 66), (2, 101, 70), (5, 80, 128)], ids=str
)
def test_files_give_the_models_logits_for_any_number_and_size_of_images(
    exported: Exported, name: str, shape: tuple[int, int, int]
) -> None:
    count, height, width = shape
    images = torch.randint(256, (count, 3, height, width), dtype=torch.uint8)
    expected = torch.stack([exported.model([{"image": x}])[0]["sem_seg"] for x in images])
    given = exported.files[name].run(images)
    assert given.dtype == torch.float32
    torch.testing.assert_close(given, expected, rtol=0, atol=1e-4 * expected.abs().max().item())
    assert (given.argmax(dim=1) == expected.argmax(dim=1)).double().mean() > 0.999


@pytest.mark.parametrize("name", FORMATS)
def test_files_say_what_their_classes_are_and_what_they_take(exported: Exported, name: str) -> None:
    metadata = exported.files[name].metadata
    assert metadata["class_names"][13] == "car"
    assert (metadata["input"]["channels"], metadata["input"]["dtype"]) == ("RGB", "uint8")
    assert metadata["output"]["name"] == "logits"
    assert metadata["checkpoint"] == "model_final.pth"
    assert metadata == exported.files["pt2"].metadata


def test_axes_of_the_onnx_file_have_names(exported: Exported) -> None:
    import onnx

    model = onnx.load(exported.folder / "model_final.onnx")
    onnx.checker.check_model(model)
    (images,), (logits,) = model.graph.input, model.graph.output
    axes = [
        [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (images, logits)
    ]
    assert axes == [["batch", 3, "height", "width"], ["batch", 19, "height", "width"]]
    assert (images.name, logits.name) == ("images", "logits")


def test_files_hold_no_paths_of_the_machine_that_wrote_them(
    exported: Exported, trained: tuple[nn.Module, str]
) -> None:
    with zipfile.ZipFile(exported.folder / "model_final.pt2") as archive:
        contents = [archive.read(entry) for entry in archive.namelist()]
    contents.append((exported.folder / "model_final.onnx").read_bytes())
    for folder in (ROOT, Path(torch.__file__).parents[1], Path(trained[1]).parent):
        assert not any(str(folder).encode() in content for content in contents)


def test_the_tool_prints_a_row_for_each_file_and_size_and_leaves_only_files_it_has_verified(
    exported: Exported,
) -> None:
    names = ["model_final.onnx", "model_final.pt2"]
    assert sorted(path.name for path in exported.folder.iterdir()) == names
    rows = [line for line in exported.printed.splitlines() if line.startswith("| model_final")]
    assert len(rows) == 4
    for row, (name, size) in zip(
        rows, [(name, size) for name in names[::-1] for size in ("65x79", "96x64")], strict=True
    ):
        file, shown, difference, equal = (cell.strip() for cell in row.strip("|").split("|"))
        assert (file, shown) == (name, size)
        assert float(difference) < 1e-4
        assert float(equal.removesuffix(" %")) > 99.9
    for name in names:
        assert f"written: '{exported.folder / name}'" in exported.printed


def test_a_file_out_of_bounds_is_an_error_and_keeps_a_name_that_says_so(
    export: Callable[..., None],
    tool: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    unverified = tmp_path / "model_final.unverified.onnx"
    unverified.touch()
    parity = (Parity(size=(96, 64), difference=2e-4, agreement=1.0),)
    file = Export(
        path=tmp_path / "model_final.onnx",
        unverified=unverified,
        segmentor=ExportedSegmentor(metadata={}, run=torch.clone),
        parity=parity,
    )
    asked: dict[str, Any] = {}
    monkeypatch.setattr(tool, "export_segmentor", lambda *_, **given: asked.update(given) or [file])
    with pytest.raises(SystemExit) as stopped:
        export("--output", tmp_path, "--result", "classes")
    assert asked["metadata"]["output"]["name"] == "classes"
    assert (
        "model_final.unverified.onnx' does not predict the same as the model" in stopped.value.code
    )
    assert "| model_final.onnx | 96x64 |" in " ".join(capsys.readouterr().out.split())
    assert list(tmp_path.iterdir()) == [unverified]


@pytest.mark.parametrize(
    ("options", "opts", "says"),
    [
        (["--checkpoint", "nothing.pth"], (), "error: checkpoint 'nothing.pth' does not exist"),
        (["--config-file", "nothing.py"], (), "error: there is no config file 'nothing.py'"),
        (["--sizes", "64x63"], (), "error: images of 64x63 pixels: .* at least 64 pixels per side"),
        ([], ("train.max_iters=1",), r"error: .* no key 'train\.max_iters'"),
        ([], ("evaluation.inference.flip=True",), "expected single-scale inference"),
        ([], ("model.sem_seg_head.num_classes=3",), "error: model.sem_seg_head.num_classes is 3"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_written(
    export: Callable[..., None],
    tmp_path: Path,
    options: list[str],
    opts: tuple[str, ...],
    says: str,
) -> None:
    with pytest.raises(SystemExit, match=says):
        export("--output", tmp_path / "out", *options, opts=opts)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("module", ["onnx", "onnxscript", "onnxruntime"])
def test_a_package_that_is_missing_is_named_with_its_remedy(
    export: Callable[..., None], tmp_path: Path, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)  # as if it were not installed
    with pytest.raises(SystemExit) as stopped:
        export("--output", tmp_path, "--format", "onnx")
    assert stopped.value.code == (
        f"error: format 'onnx' needs {module}: pip install -e \".[export]\""
    )


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--format", "tflite"], "invalid choice: 'tflite'"),
        (["--result", "entropy"], "invalid choice: 'entropy'"),
        (["--sizes", "512"], "'512' is not a size, expected HEIGHTxWIDTH"),
        ([], "--output"),
    ],
)
def test_wrong_usage_says_what_is_right(
    export: Callable[..., None], options: list[str], says: str, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(SystemExit) as stopped:
        export(*(["--output", "x"] if options else []), *options)
    assert stopped.value.code == 2
    assert says in capsys.readouterr().err

"""The demo as users run it: pictures and videos of one or two checkpoints, and what goes wrong."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
import torch
from detectron2.config import LazyConfig, instantiate
from PIL import Image

from langdg_d2.engine import apply_overrides
from langdg_d2.structures import CITYSCAPES_19
from langdg_d2.visualization import (
    Predictor,
    VideoFile,
    VideoWriter,
    draw_panels,
    palette_named,
    read_image,
)

CONFIG = str(Path(__file__).parents[2] / "configs/langdg_gta5.py")


def noise(seed: int, height: int = 48, width: int = 96) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def tool(load_tool: Callable[[str], ModuleType]) -> ModuleType:
    return load_tool("demo")


@pytest.fixture(scope="module")
def overrides(tiny_model: list[str]) -> list[str]:
    return [*tiny_model, "train.device=cpu"]


@pytest.fixture(scope="module")
def checkpoints(overrides: list[str], tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two models with other weights: runs/{0,1}/model_final.pth."""
    folder = tmp_path_factory.mktemp("runs")
    cfg = apply_overrides(LazyConfig.load(CONFIG), overrides)
    cfg.model.backbone.tower.weights = None
    for seed in (0, 1):
        torch.manual_seed(seed)
        (folder / str(seed)).mkdir()
        weights = instantiate(cfg.model).state_dict()
        torch.save({"model": weights}, folder / str(seed) / "model_final.pth")
    return [str(folder / str(seed) / "model_final.pth") for seed in (0, 1)]


@pytest.fixture
def demo(tool: ModuleType, overrides: list[str]) -> Callable[..., int]:
    """Function that runs the tool on tiny models; returns its exit code."""

    def run(*options: object, opts: Sequence[str] = ()) -> int:
        settings = ["--opts", *overrides, *opts]
        return tool.main(["--config-file", CONFIG, *map(str, options), *settings])

    return run


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for seed, name in enumerate(["a.png", "b.png"]):
        Image.fromarray(noise(seed)).save(folder / name)
    return folder


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    with VideoWriter(path=tmp_path / "drive.mkv", rate=12.5) as writer:
        for seed in range(5):
            writer.write(noise(seed))
    return tmp_path / "drive.mkv"


def test_images_are_drawn_as_the_library_draws_them(
    demo: Callable[..., int],
    images: Path,
    checkpoints: list[str],
    overrides: list[str],
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    views = ["overlay", "colors", "confidence", "entropy"]
    options = ["--palette", "colorblind", "--batch-size", 2, "--longest-side", 64]
    code = demo(
        *("--checkpoint", checkpoints[0], "--input", images, "--output", out),
        *("--views", *views, *options),
    )
    assert code == 0
    assert listing(out) == ["a.png", "b.png"]
    prediction = Predictor.from_config(CONFIG, checkpoints[0], overrides)(images / "b.png")
    expected = draw_panels(
        {"x": prediction},
        views=views,
        palette=palette_named("colorblind", CITYSCAPES_19),
        longest_side=64,
    )
    written = read_image(out / "b.png")
    assert written.shape == expected.shape
    assert (written == expected).mean() > 0.99


def test_an_image_that_cannot_be_read_is_reported_and_the_others_are_drawn(
    demo: Callable[..., int],
    images: Path,
    checkpoints: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
) -> None:
    (images / "aa.png").write_bytes((images / "a.png").read_bytes()[:500])
    out = tmp_path / "out"
    assert demo("--checkpoint", checkpoints[0], "--input", images, "--output", out) == 1
    assert listing(out) == ["a.png", "b.png"]
    assert f"error: '{images / 'aa.png'}' cannot be read" in capsys.readouterr().err


def test_a_video_of_two_checkpoints_has_the_rate_and_all_frames_of_its_source(
    demo: Callable[..., int], clip: Path, checkpoints: list[str], tmp_path: Path
) -> None:
    options = ["--names", "source only", "recipe", "--views", "colors", "--batch-size", 2]
    output = tmp_path / "both.mp4"
    demo("--checkpoint", *checkpoints, "--input", clip, "--output", output, *options)
    assert listing(tmp_path) == ["both.mp4", "drive.mkv"]
    frames = list(VideoFile(path=output))
    assert [frame.time for frame in frames] == pytest.approx([k / 12.5 for k in range(5)], abs=1e-3)
    for frame in frames:
        # Two panels beside each other below their titles, above a legend of all the classes.
        height, width, _ = frame.image.shape
        assert 2 * 96 < width < 2 * 96 + 12
        assert height > 20 + 48 + 20
        colors = frame.image[20:68, :96].reshape(-1, 1, 3).astype(int)
        nearest = np.abs(colors - np.array(CITYSCAPES_19.colors)).sum(axis=-1).min(axis=1)
        assert np.median(nearest) < 40  # of a compressed picture


def test_images_and_clips_go_to_one_folder(
    demo: Callable[..., int], images: Path, clip: Path, checkpoints: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    inputs = ["--input", images / "a.png", clip]
    assert demo("--checkpoint", checkpoints[0], *inputs, "--views", "entropy", "--output", out) == 0
    assert listing(out) == ["a.png", "drive.mp4"]


def test_checkpoints_of_two_architectures_stand_side_by_side(
    tool: ModuleType,
    images: Path,
    checkpoints: list[str],
    overrides: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
) -> None:
    configs = [tmp_path / "usual.yaml", tmp_path / "narrow.yaml"]
    for file, channels in zip(configs, (48, 5), strict=True):
        changes = [*overrides, f"model.sem_seg_head.low_level_channels={channels}"]
        cfg = apply_overrides(LazyConfig.load(CONFIG), changes)
        cfg.model.backbone.tower.weights = None
        LazyConfig.save(cfg, str(file))
    torch.save({"model": instantiate(cfg.model).state_dict()}, tmp_path / "narrow.pth")
    options = ["--checkpoint", checkpoints[0], tmp_path / "narrow.pth", "--input", images / "a.png"]
    command = list(map(str, [*options, "--output", tmp_path / "out.png", "--config-file"]))
    assert tool.main([*command, *map(str, configs)]) == 0
    assert read_image(tmp_path / "out.png").shape[1] > 2 * 96
    with pytest.raises(SystemExit, match=r"narrow\.pth' does not fit the model"):
        tool.main([*command, str(configs[0])])
    with pytest.raises(SystemExit):
        tool.main([*command, *map(str, [*configs, CONFIG])])
    assert "3 configs for 2 checkpoints" in capsys.readouterr().err


def test_images_that_cannot_be_predicted_are_reported_and_the_others_are_drawn(
    demo: Callable[..., int],
    images: Path,
    checkpoints: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
) -> None:
    for seed, (name, width) in enumerate({"aa": 14, "c": 5, "d": 15}.items()):
        Image.fromarray(noise(seed, 48, width)).save(images / f"{name}.png")
    out = tmp_path / "out"
    views = ["--views", "overlay", "entropy"]
    options = ["--checkpoint", checkpoints[0], "--input", images, "--output", out, *views]
    assert demo(*options, "--batch-size", 3) == 1
    assert listing(out) == ["a.png", "b.png", "d.png"]
    said = capsys.readouterr().err
    assert "error: 'aa' cannot be predicted: image of 14x48 pixels (width x height), ex" in said
    assert "error: 'c' cannot be predicted: image of 5x48 pixels" in said
    assert "expected sides of 15 at least" in said


def test_a_clip_that_cannot_be_predicted_is_reported_and_the_next_one_is_drawn(
    demo: Callable[..., int],
    clip: Path,
    checkpoints: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
) -> None:
    low = tmp_path / "a_low.mp4"
    with VideoWriter(path=low) as writer:
        writer.write(noise(0, 8, 96))
    out = tmp_path / "out"
    assert demo("--checkpoint", checkpoints[0], "--input", low, clip, "--output", out) == 1
    assert listing(out) == ["drive.mp4"]
    assert "error: 'a_low': image of 96x8 pixels" in capsys.readouterr().err


def test_videos_that_are_bad_or_cut_are_reported_and_all_others_are_drawn(
    demo: Callable[..., int],
    images: Path,
    clip: Path,
    checkpoints: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
) -> None:
    content = clip.read_bytes()
    (images / "bad.mp4").write_bytes(content[:100])
    (images / "cut.mts").write_bytes(content[: len(content) // 2])
    (images / "whole").write_bytes(content)
    out = tmp_path / "out"
    views = ["--views", "colors"]
    assert demo("--checkpoint", checkpoints[0], "--input", images, "--output", out, *views) == 1
    assert listing(out) == ["a.png", "b.png", "cut.mp4", "whole.mp4"]
    said = capsys.readouterr().err
    assert f"error: FFmpeg cannot read '{images / 'bad.mp4'}' as a video: " in said
    assert f"error: '{images / 'cut.mts'}' is truncated: it ends after " in said
    (images / "bad.mp4").rename(tmp_path / "bad.mp4")
    lone = ["--input", tmp_path / "bad.mp4", "--output", tmp_path / "lone.mp4"]
    assert demo("--checkpoint", checkpoints[0], *lone) == 1
    assert not (tmp_path / "lone.mp4").exists()


def test_an_8k_image_is_predicted_in_windows_and_drawn_small(
    demo: Callable[..., int], overrides: list[str], tmp_path: Path
) -> None:
    """Two classes, for the logits of 19 would take 2.5 GB, seen at a quarter, which is faster."""
    picture = np.zeros((4320, 7680, 3), np.uint8)
    picture[:, 3840:] = 200
    cv2.imwrite(str(tmp_path / "8k.bmp"), picture)
    windows = [
        "model.sem_seg_head.num_classes=2",
        *("model.classes.names=[dark,bright]", "model.classes.colors=[[9,8,7],[250,0,90]]"),
        "model.classes.ids=null",
        "evaluation.inference.scales=[0.25]",
        "evaluation.inference.window=[1080,960]",
        "evaluation.inference.stride=[1080,960]",
    ]
    cfg = apply_overrides(LazyConfig.load(CONFIG), [*overrides, *windows])
    cfg.model.backbone.tower.weights = None
    model = instantiate(cfg.model).eval()
    with torch.no_grad():  # a class for each half of the image
        low, high = (
            model([{"image": torch.full((3, 704, 704), level).byte()}])[0]["sem_seg"]
            for level in (0, 200)
        )
        difference = [x[1, 352, 352] - x[0, 352, 352] for x in (low, high)]
        model.sem_seg_head.predict.bias[1] -= sum(difference) / 2
    torch.save({"model": model.state_dict()}, tmp_path / "two.pth")
    code = demo(
        *("--checkpoint", tmp_path / "two.pth", "--input", tmp_path / "8k.bmp"),
        *("--output", tmp_path / "out.png", "--longest-side", 512, "--views", "colors"),
        opts=windows,
    )
    assert code == 0
    written = read_image(tmp_path / "out.png")
    assert written.shape[1] == 512
    assert 288 < written.shape[0] < 320
    left, right = (tuple(written[y, x]) for y, x in ((72, 128), (72, 384)))
    assert {left, right} == {(9, 8, 7), (250, 0, 90)}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"--checkpoint": ["nothing.pth"]}, "error: checkpoint 'nothing.pth' does not exist"),
        ({"--input": ["nothing*"]}, "error: 'nothing*' is neither a file nor a folder"),
        ({"--output": ["out.gif"]}, "error: output 'out.gif': an image is written as .png"),
        ({"--webcam": ["97"], "--input": []}, "error: camera 97 cannot be opened"),
        ({"--precision": ["float16"]}, "error: precision 'float16' is for GPUs"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_written(
    demo: Callable[..., int],
    images: Path,
    checkpoints: list[str],
    tmp_path: Path,
    change: dict[str, list[str]],
    says: str,
) -> None:
    options: dict[str, list[object]] = {
        "--checkpoint": [checkpoints[0]],
        "--input": [images / "a.png"],
        "--output": [tmp_path / "out"],
    }
    given = {key: values for key, values in (options | change).items() if values}
    with pytest.raises(SystemExit) as stopped:
        demo(*(part for key, values in given.items() for part in (key, *values)))
    assert says in str(stopped.value.code)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("setting", "says"),
    [("a b", "error: "), ("model.backbone.tower.name=no-such-tower", "no-such-tower")],
)
def test_invalid_settings_are_reported_in_one_line(
    demo: Callable[..., int],
    images: Path,
    checkpoints: list[str],
    tmp_path: Path,
    setting: str,
    says: str,
) -> None:
    files = ["--checkpoint", checkpoints[0], "--input", images, "--output", tmp_path / "out"]
    with pytest.raises(SystemExit) as stopped:
        demo(*files, opts=[setting])
    assert says in str(stopped.value.code)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--output", "x"], "expected either --input or --webcam"),
        (["--input", "a.png", "--webcam", "0", "--output", "x"], "either --input or --webcam"),
        (["--input", "a.png"], "expected either --output or --window"),
        (["--input", "a", "--output", "x", "--names", "a", "b"], "2 names for 1 checkpoints"),
        (["--input", "a", "--output", "x", "--batch-size", "0"], "must be 1 or more"),
    ],
)
def test_wrong_usage_says_what_is_right(
    demo: Callable[..., int], options: list[str], says: str, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(SystemExit) as stopped:
        demo("--checkpoint", "x.pth", *options)
    assert stopped.value.code == 2
    assert says in capsys.readouterr().err

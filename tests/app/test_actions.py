"""What the page shows of good and bad files; no error leaves these functions."""

import logging
import re
from collections.abc import Callable
from html import unescape
from pathlib import Path
from threading import Event, Thread, Timer
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from langdg_d2.app import Actions, Limits, ShownPrediction, ShownStyles, parts
from langdg_d2.structures import CITYSCAPES_19, LabelSpace
from langdg_d2.visualization import Predictor, VideoFile, draw_view, palette_named


def predict(actions: Actions, *arguments: Any, **options: Any) -> ShownPrediction:
    """What is shown at last."""
    *steps, shown = actions.predict(*arguments, **options)
    assert set(steps) <= {None}
    return shown


def restyle(actions: Actions, file: Path | None, prompt: str = "foggy night") -> ShownStyles:
    path = None if file is None else str(file)
    return actions.restyle(path, "tiny", "classes", prompt, 2, 0.0, True)


@pytest.mark.parametrize("palette", ["classes", "colorblind"])
def test_an_image_is_shown_as_the_library_draws_it(
    actions: Actions, predictor: Predictor, image_file: Path, palette: str
) -> None:
    shown = predict(actions, str(image_file), "tiny", palette)
    prediction, colors = predictor(image_file), palette_named(palette, CITYSCAPES_19)
    np.testing.assert_array_equal(shown.overlay, draw_view(prediction, "overlay", colors))
    np.testing.assert_array_equal(shown.confidence, draw_view(prediction, "confidence", colors))
    assert shown.video is None
    names = re.findall(r"<b>(.+?)</b>", shown.legend)
    assert set(names) == {CITYSCAPES_19.names[k] for k in np.unique(prediction.classes)}
    assert f"mean confidence {prediction.confidence.mean():.2f}" in shown.message


def test_a_clip_becomes_a_video_of_its_first_frames(
    actions: Actions, clip_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    seen: list[tuple[float, str]] = []
    shown = predict(
        actions, str(clip_file), "tiny", "classes", report=lambda *done: seen.append(done)
    )
    assert seen == [(k / 3, f"frame {k} of 3") for k in (1, 2, 3)]
    assert (shown.overlay, shown.confidence) == (None, None)
    assert "only the first 3 frames" in shown.message
    assert Path(shown.video).is_relative_to(tmp_path)
    times = [frame.time for frame in VideoFile(path=Path(shown.video))]
    assert times == pytest.approx([0, 0.08, 0.16], abs=1e-3)


def test_a_clip_ends_where_its_visitor_leaves(actions: Actions, clip_file: Path, tmp_path: Path,
                                              monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "own"))
    (tmp_path / "own").mkdir()
    seen: list[str] = []
    steps = actions.predict(
        str(clip_file), "tiny", "classes", report=lambda _, what: seen.append(what)
    )
    assert next(steps) is None
    steps.close()
    assert seen == ["frame 1 of 3"]
    assert not [path for path in (tmp_path / "own").rglob("*") if path.is_file()]
    assert predict(actions, str(clip_file), "tiny", "classes").video  # others go on


def test_a_page_that_ends_waits_for_the_frame_at_work(
    predictor: Predictor, clip_file: Path
) -> None:
    begun, go_on, done = Event(), Event(), Event()

    def slow(images: Any) -> Any:
        begun.set()
        assert go_on.wait(60)
        done.set()
        return predictor(images)

    slow.classes = predictor.classes
    page = Actions(predictors={"slow": slow}, limits=Limits(), styles="none")
    visitor = Thread(target=lambda: list(page.predict(str(clip_file), "slow", "classes")))
    visitor.start()
    assert begun.wait(60)
    Timer(0.2, go_on.set).start()
    page.close()
    assert done.is_set()
    visitor.join(60)
    assert not visitor.is_alive()
    (shown,) = page.predict(str(clip_file), "slow", "classes")
    assert "role='alert'" in shown.message


def test_before_there_is_a_file_nothing_is_shown(actions: Actions) -> None:
    assert predict(actions, None, "tiny", "classes") == ("", None, None, None, "")
    shown = restyle(actions, None)
    assert "there is no image yet" in shown.message
    assert shown.after is None


def bad_files(image: bytes) -> dict[str, tuple[bytes, str]]:
    """Content and what is said of it, by name."""
    return {
        "cut.png": (image[: len(image) // 2], "cannot be read as an image"),
        "empty.png": (b"", "is not an image that can be read"),
        "<b>page.jpg": (b"<script>alert(1)</script>", "is not an image that can be read"),
        "text.mp4": (b"no video", "FFmpeg cannot read"),
        "noise.avi": (bytes(range(256)) * 20, "FFmpeg cannot read"),
        "program.exe": (b"MZ", "is not an image that can be read"),
    }


@pytest.mark.parametrize("name", bad_files(b""))
def test_a_bad_file_is_a_message_that_names_the_file_but_not_where_it_lies(
    actions: Actions, image_file: Path, name: str
) -> None:
    content, says = bad_files(image_file.read_bytes())[name]
    path = image_file.with_name(name)
    path.write_bytes(content)
    for shown in (predict(actions, str(path), "tiny", "classes"), restyle(actions, path)):
        assert "role='alert'" in shown.message
        assert name.replace("<", "&lt;").replace(">", "&gt;") in shown.message
        assert says in shown.message
        assert str(path.parent) not in shown.message
        assert shown[1:] in {(None, None, None, "")}


def test_an_error_that_nobody_expected_is_a_message_too(actions: Actions, image_file: Path) -> None:
    shown = predict(actions, str(image_file), "no such model", "classes")
    assert "KeyError: &#39;no such model&#39;" in shown.message


def test_where_files_lie_is_logged_and_not_shown(
    actions: Actions,
    clip_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "no such folder"))
    with caplog.at_level(logging.WARNING, logger="langdg_d2"):
        shown = predict(actions, str(clip_file), "tiny", "classes")
    assert "FileNotFoundError: " in shown.message
    assert tmp_path.name not in shown.message
    assert str(tmp_path / "no such folder") in caplog.text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("'/a/b c/d.pt' is no CLIP", "'d.pt' is no CLIP"),
        ("no file: /a/b/c.py, line 3", "no file: c.py, line 3"),
        (r"'C:\data\x y.png' is cut", "'x y.png' is cut"),
        ("FFmpeg cannot write '/t/u/a.webm'; check", "FFmpeg cannot write 'a.webm'; check"),
        ("3/4 of a/b, see https://host/a/b, '</i>'", "3/4 of a/b, see https://host/a/b, '</i>'"),
    ],
)
def test_paths_are_shown_without_their_folders_and_all_else_as_it_is(
    predictor: Predictor, text: str, shown: str
) -> None:
    without = Actions(predictors={"tiny": predictor}, limits=Limits(), styles=text)
    assert unescape(restyle(without, None).message) == unescape(parts.problem(shown))


def test_an_image_too_small_for_the_grid_is_a_message(actions: Actions, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(tmp_path / "dot.png")
    assert "role='alert'" in restyle(actions, tmp_path / "dot.png").message


def test_a_style_is_shown_before_and_after_with_its_cosines(
    actions: Actions, predictor: Predictor, image_file: Path
) -> None:
    shown = restyle(actions, image_file, "<i>noir</i>")
    prediction = predictor(image_file)
    before = draw_view(prediction, "overlay", palette_named("classes", CITYSCAPES_19))
    np.testing.assert_array_equal(shown.before, before)
    assert shown.after.shape == shown.difference.shape == before.shape
    texts = re.findall(r"&lt;i&gt;noir&lt;/i&gt; ([\w ]+)<", shown.styles)
    assert texts
    assert set(texts) <= {CITYSCAPES_19.names[k] for k in np.unique(prediction.classes)}
    cosines = re.findall(r"<td>(-?\d\.\d{3})</td><td>(-?\d\.\d{3})</td>", shown.styles)
    assert len(cosines) == len(texts)
    assert all(float(before) <= float(after) for before, after in cosines)
    assert "of the pixels get another class" in shown.message


def test_without_clip_the_second_tab_says_why(
    predictor: Predictor, image_file: Path, scene: Callable[..., np.ndarray]
) -> None:
    styles = "no weights: '/home/someone/my clip/RN50.pt' is missing"
    without = Actions(predictors={"tiny": predictor}, limits=Limits(), styles=styles)
    assert "no weights: &#39;RN50.pt&#39; is missing" in restyle(without, image_file).message
    assert predict(without, str(image_file), "tiny", "classes").overlay.shape == scene().shape


class Last(nn.Module):
    """Predicts the last of 25 own classes everywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.classes = LabelSpace([f"own class {k}" for k in range(25)])

    def forward(self, inputs: list[dict[str, Any]]) -> list[dict[str, torch.Tensor]]:
        sizes = [tuple(x["image"].shape[1:]) for x in inputs]
        return [{"sem_seg": torch.arange(25.0)[:, None, None].expand(25, *size)} for size in sizes]


def test_own_classes_have_their_names_and_colours(image_file: Path) -> None:
    own = Predictor(model=Last())
    actions = Actions(predictors={"own": own}, limits=Limits(), styles="none")
    shown = predict(actions, str(image_file), "own", "classes")
    assert "own class 24" in shown.legend
    assert "rgb({},{},{})".format(*own.classes.colors[24]) in shown.legend
    expected = draw_view(own(image_file), "overlay", palette_named("classes", own.classes))
    assert np.array_equal(shown.overlay, expected)
    refused = predict(actions, str(image_file), "own", "colorblind")
    assert "for the Cityscapes classes alone" in refused.message

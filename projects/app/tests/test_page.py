"""What the page does with good and bad files; errors become messages without folders."""

import asyncio
import html
import logging
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from threading import Event, Thread, Timer
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from uploads import Limits

from langdg_d2.structures import CITYSCAPES_19
from langdg_d2.visualization import draw_view, palette_named

gradio = pytest.importorskip("gradio", reason='the page needs Gradio: pip install -e ".[demo]"')
page = pytest.importorskip("page")


@pytest.fixture(scope="module")
def handlers(models: dict[str, Any]) -> Iterator[page.Handlers]:
    handlers = page.Handlers(**models)
    yield handlers
    handlers.close()


VISITOR = gradio.Request(session_hash="visitor")


def predict(handlers: page.Handlers, file: Path | None, model: str = "tiny") -> list[list[Any]]:
    """Everything that is shown, one after the other."""

    async def collect() -> list[list[Any]]:
        path = None if file is None else str(file)
        return [shown async for shown in handlers.predict(path, model, "classes", VISITOR)]

    return asyncio.run(collect())


def restyle(handlers: page.Handlers, file: Path | None, prompt: str = "foggy night") -> list[Any]:
    path = None if file is None else str(file)
    return asyncio.run(handlers.restyle(path, "tiny", "classes", prompt, 2, 0.0, True))


def message(action: Any, *arguments: Any) -> str:
    """What an error says on the page."""
    with pytest.raises(gradio.Error) as error:
        action(*arguments)
    return error.value.message


def test_a_clip_is_shown_after_its_frames(handlers: page.Handlers, clip_file: Path) -> None:
    *frames, shown = predict(handlers, clip_file)
    assert len(frames) == 3
    assert "only the first 3 frames" in shown[0]


def test_a_clip_ends_where_its_visitor_leaves(
    handlers: page.Handlers, clip_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "own"))
    (tmp_path / "own").mkdir()
    predictor, frames = handlers.predictors["tiny"], []

    def counting(image: np.ndarray) -> Any:
        frames.append(image)
        return predictor(image)

    counting.classes = predictor.classes
    monkeypatch.setitem(handlers.predictors, "tiny", counting)

    async def leave() -> None:
        steps = handlers.predict(str(clip_file), "tiny", "classes", VISITOR)
        await anext(steps)
        await steps.aclose()

    asyncio.run(leave())
    assert len(frames) == 1
    assert not list((tmp_path / "own").iterdir())
    assert len(predict(handlers, clip_file)) == 4  # others go on


def test_a_page_that_ends_waits_for_the_frame_at_work(
    models: dict[str, Any], clip_file: Path
) -> None:
    begun, go_on, done = Event(), Event(), Event()
    predictor = models["predictors"]["tiny"]

    def slow(images: Any) -> Any:
        begun.set()
        assert go_on.wait(60)
        done.set()
        return predictor(images)

    slow.classes = predictor.classes
    handlers = page.Handlers(predictors={"slow": slow}, limits=Limits(1, 99, 3), styles=None)
    visitor = Thread(target=message, args=(predict, handlers, clip_file, "slow"))
    visitor.start()
    assert begun.wait(60)
    Timer(0.2, go_on.set).start()
    handlers.close()
    assert done.is_set()
    visitor.join(60)
    assert not visitor.is_alive()
    message(predict, handlers, clip_file, "slow")


def test_every_checkpoint_is_compared_on_one_image(
    models: dict[str, Any], image_file: Path
) -> None:
    other = deepcopy(models["predictors"]["tiny"])
    torch.nn.init.normal_(
        next(other.model.backbone.parameters())
    )  # trained from the first layer on
    handlers = page.Handlers(**{**models, "predictors": {"other": other, **models["predictors"]}})
    assert handlers.first_choice() == "tiny"
    pictures = asyncio.run(handlers.compare(str(image_file), "classes"))
    assert [caption.split(",")[0] for _, caption in pictures] == ["input", "other", "tiny"]
    palette = palette_named("classes", CITYSCAPES_19)
    image = np.asarray(Image.open(image_file))
    for (drawn, _), predictor in zip(pictures[1:], handlers.predictors.values(), strict=True):
        np.testing.assert_array_equal(drawn, draw_view(predictor(image), "overlay", palette))
    handlers.close()


def test_before_there_is_a_file_nothing_is_shown(handlers: page.Handlers) -> None:
    assert predict(handlers, None) == [[None] * 5]
    assert "there is no image yet" in message(restyle, handlers, None)


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
    handlers: page.Handlers, image_file: Path, name: str
) -> None:
    content, says = bad_files(image_file.read_bytes())[name]
    path = image_file.with_name(name)
    path.write_bytes(content)
    for action in (predict, restyle):
        text = message(action, handlers, path)
        assert html.escape(name) in text
        assert says in text
        assert str(path.parent) not in text


def test_an_unexpected_error_is_a_message_too(handlers: page.Handlers, image_file: Path) -> None:
    text = message(predict, handlers, image_file, "no such model")
    assert text.startswith("&#39;street.png&#39; cannot be used (KeyError)")


def test_where_files_lie_is_logged_and_not_shown(
    handlers: page.Handlers,
    clip_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "no such folder"))
    with caplog.at_level(logging.WARNING):
        text = message(predict, handlers, clip_file)
    assert "FileNotFoundError" in text
    assert tmp_path.name not in text
    assert str(tmp_path / "no such folder") in caplog.text


def test_an_image_too_small_for_the_grid_is_a_message(
    handlers: page.Handlers, tmp_path: Path
) -> None:
    Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(tmp_path / "dot.png")
    message(restyle, handlers, tmp_path / "dot.png")


def test_without_clip_the_second_tab_says_why(models: dict[str, Any], image_file: Path) -> None:
    without = page.Handlers(**{**models, "styles": None})
    assert "CLIP&#39;s weights could not be loaded" in message(restyle, without, image_file)
    assert len(predict(without, image_file)) == 1
    without.close()

"""The page in a real browser: what is seen of what a user drops and types.

Needs what requirements.txt lists, Gradio and Playwright among it, and a Chromium: Debian's
(`apt-get install chromium`), another that is on the path, or the one that the environment variable
CHROMIUM names. No window opens. To run it alone:

    python -m pytest projects/app/tests/test_browser.py
"""

import io
import runpy
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from app import serving
from live_styles import LiveStyles
from PIL import Image

from langdg_d2.structures import CITYSCAPES_19
from langdg_d2.visualization import VideoWriter, draw_view, palette_named

pytest.importorskip("gradio", reason='the page needs Gradio: pip install -e ".[demo]"')
playwright = pytest.importorskip(
    "playwright.sync_api", reason='browsers are driven by Playwright: pip install -e ".[test]"'
)
expect = playwright.expect

MAKE_IMAGES = Path(__file__).parents[3] / "docs/make_images.py"  # also needs a browser
SETTLED = 2_000  # milliseconds in which a result would have been shown
PATIENCE = 120_000  # milliseconds, for machines that do other things as well
INPUT = "#file input[type=file]"


@pytest.fixture(scope="module")
def address(
    models: dict[str, Any], scene: Callable[..., np.ndarray], tmp_path_factory: Any
) -> Iterator[str]:
    example = tmp_path_factory.mktemp("examples") / "example.png"
    Image.fromarray(scene()).save(example)
    with serving(examples=[str(example)], **models) as page:
        yield page.local_url


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    path = runpy.run_path(str(MAKE_IMAGES))["chromium_path"]()
    if path is None:
        pytest.skip("there is no Chromium to open the page in: apt-get install chromium")
    expect.set_options(timeout=PATIENCE)
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=path, timeout=PATIENCE)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def opened(browser: Any, address: str) -> Iterator[Any]:
    """The page, opened; that anything is asked of another host is an error at the end."""
    page = browser.new_page(viewport={"width": 1360, "height": 900})
    page.set_default_timeout(PATIENCE)
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.goto(address)
    page.wait_for_selector(INPUT, state="attached")
    yield page
    page.close()
    assert requested
    elsewhere = [url for url in requested if not url.startswith((address, "data:", "blob:"))]
    assert elsewhere == []


@pytest.fixture
def page(opened: Any) -> Any:
    """The page with its first tab in front, and without a file."""
    opened.get_by_role("tab", name="Predict").click()
    clear(opened)
    return opened


def clear(page: Any) -> None:
    """Take the file away, if there is one."""
    button = page.locator("#file").get_by_label("Clear")
    if button.count():
        button.click()
    expect(page.locator("#facts p")).to_have_count(0)
    for close in page.get_by_test_id("toast-close").all():
        close.click()


def picture(page: Any, name: str) -> np.ndarray:
    """Pixels of a picture on the page."""
    image = page.locator(f"#{name} img")
    expect(image).to_be_visible()
    with urllib.request.urlopen(image.get_attribute("src"), timeout=120) as file:
        return np.asarray(Image.open(io.BytesIO(file.read())).convert("RGB"))


def test_a_dropped_image_is_shown_with_overlay_legend_and_confidence(
    page: Any, models: dict[str, Any], image_file: Path
) -> None:
    page.set_input_files(INPUT, str(image_file))
    predictor = models["predictors"]["tiny"]
    prediction, palette = predictor(image_file), palette_named("classes", CITYSCAPES_19)
    expect(page.locator("#facts p")).to_contain_text("96 x 72 pixels")
    for view in ("overlay", "confidence"):
        np.testing.assert_array_equal(picture(page, view), draw_view(prediction, view, palette))
    names = page.locator("#legend td:first-child").all_inner_texts()
    seen = np.unique(prediction.classes)
    assert sorted(map(str.strip, names)) == sorted(CITYSCAPES_19.names[k] for k in seen)

    page.get_by_label("colour-blind safe").check()  # to the end of these tests
    k = CITYSCAPES_19.names.index(names[0].strip())
    red, green, blue = palette_named("colorblind", CITYSCAPES_19).colors[k]
    swatch = page.locator("#legend .swatch").first
    expect(swatch).to_have_css("background-color", f"rgb({red}, {green}, {blue})")


def test_an_example_is_predicted_when_it_is_clicked(page: Any) -> None:
    page.locator("#examples").get_by_text("example.png").click()
    expect(page.locator("#facts p")).to_contain_text("96 x 72 pixels")


def test_bad_files_are_named_and_the_page_goes_on(
    page: Any, image_file: Path, scene: Callable[..., np.ndarray]
) -> None:
    broken = image_file.with_name("broken.png")
    broken.write_bytes(image_file.read_bytes()[:500])
    large = image_file.with_name("large.png")
    large.write_bytes(bytes(2 << 20))

    page.set_input_files(INPUT, str(large))
    expect(page.get_by_text("exceed the maximum allowed size").first).to_be_visible()
    page.set_input_files(INPUT, str(broken))
    problem = page.get_by_text("'broken.png' cannot be read as an image")
    expect(problem).to_be_visible()
    expect(page.locator("#overlay img")).to_have_count(0)

    clear(page)
    page.set_input_files(INPUT, str(image_file))
    expect(page.locator("#legend td").first).to_be_visible()
    assert picture(page, "overlay").shape == scene().shape
    expect(problem).to_have_count(0)


def test_a_clip_plays(page: Any, clip_file: Path) -> None:
    page.set_input_files(INPUT, str(clip_file))
    expect(page.locator("#facts p")).to_contain_text("3 frames")
    page.wait_for_function("document.querySelector('#video video')?.videoWidth")
    width, height = page.locator("#video video").evaluate("v => [v.videoWidth, v.videoHeight]")
    assert width > 2 * 96  # overlay and confidence side by side
    assert height >= 72
    expect(page.locator("#overlay")).to_be_hidden()


@pytest.mark.parametrize("leave", ["clears the clip", "drops another file", "closes the tab"])
def test_a_clip_ends_when_its_visitor_leaves(
    page: Any,
    browser: Any,
    address: str,
    models: dict[str, Any],
    image_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    leave: str,
) -> None:
    """Of a hundred frames a few are predicted; then a picture of somebody else is."""
    clip = tmp_path / "long.mp4"
    with VideoWriter(path=clip) as writer:
        for _ in range(100):
            writer.write(np.zeros((72, 96, 3), np.uint8))
    frames, begun, predictor = [], Event(), models["predictors"]["tiny"]

    def slow(image: np.ndarray) -> Any:
        frames.append(image)
        begun.set()
        time.sleep(0.2)
        return predictor(image)

    slow.classes = predictor.classes
    monkeypatch.setitem(models["predictors"], "tiny", slow)
    monkeypatch.setattr(models["limits"], "frames", 100)
    other = browser.new_page()
    other.set_default_timeout(PATIENCE)
    other.goto(address)
    other.wait_for_selector(INPUT, state="attached")
    other.set_input_files(INPUT, str(clip))
    assert begun.wait(PATIENCE / 1000)
    other.wait_for_timeout(SETTLED)
    if leave == "closes the tab":
        other.close()
    elif leave == "clears the clip":
        other.locator("#file").get_by_label("Clear").click()
    else:
        clear_and_drop(other, image_file)
    page.set_input_files(INPUT, str(image_file))
    expect(page.locator("#facts p")).to_contain_text("96 x 72 pixels")
    assert len(frames) < 60
    if leave == "drops another file":
        expect(other.locator("#facts p")).to_contain_text("96 x 72 pixels")
    other.close()


def clear_and_drop(page: Any, file: Path) -> None:
    page.locator("#file").get_by_label("Clear").click()
    page.set_input_files(INPUT, str(file))


def test_a_typed_style_is_mined_and_its_effect_shown(
    page: Any, image_file: Path, scene: Callable[..., np.ndarray]
) -> None:
    page.get_by_role("tab", name="Restyle").click()
    page.fill("#prompt :is(input, textarea)", "<b>foggy</b> ${1+1} {{value}}")
    page.click("#mine")
    expect(page.get_by_text("there is no image yet")).to_be_visible()

    page.set_input_files(INPUT, str(image_file))
    expect(page.locator("#facts p")).to_have_count(1)
    page.click("#mine")
    rows = page.locator("#styles table").first.locator("tbody tr")
    expect(rows.first).to_be_visible()
    for row in rows.all():
        name, text, before, after = row.locator("td").all_inner_texts()
        assert text == f"<b>foggy</b> ${{1+1}} {{{{value}}}} {name.strip()}"
        assert float(before) < float(after)
    expect(page.locator("#style-facts p")).to_contain_text("of the pixels change class")
    shown = [picture(page, name) for name in ("before", "after", "difference")]
    assert {part.shape for part in shown} == {scene().shape}


def test_a_style_under_way_is_dropped_when_what_it_belongs_to_changes(
    page: Any, image_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The image goes while a slow mining of it is under way; later the colours change."""
    page.get_by_label("of the classes").check()
    page.set_input_files(INPUT, str(image_file))
    expect(page.locator("#facts p")).to_have_count(1)
    page.get_by_role("tab", name="Restyle").click()
    page.fill("#prompt :is(input, textarea)", "noir")
    begun, go_on, ended = Event(), Event(), Event()
    mine = LiveStyles.__call__

    def slow(*args: Any, **settings: Any) -> Any:
        begun.set()
        go_on.wait(PATIENCE / 1000)
        try:
            return mine(*args, **settings)
        finally:
            ended.set()

    monkeypatch.setattr(LiveStyles, "__call__", slow)
    page.click("#mine")
    assert begun.wait(PATIENCE / 1000)
    page.locator("#file").get_by_label("Clear").click()
    expect(page.locator("#style-facts p")).to_have_count(0)
    go_on.set()
    assert ended.wait(PATIENCE / 1000)
    page.wait_for_timeout(SETTLED)
    expect(page.locator("#after img")).to_have_count(0)
    expect(page.locator("#style-facts p")).to_have_count(0)

    page.set_input_files(INPUT, str(image_file))
    expect(page.locator("#facts p")).to_have_count(1)
    page.click("#mine")
    expect(page.locator("#after img")).to_be_visible()
    page.get_by_label("colour-blind safe").check()
    expect(page.locator("#after img")).to_have_count(0)
    expect(page.locator("#style-facts p")).to_have_count(0)

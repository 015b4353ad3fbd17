#!/usr/bin/env python
"""Make the pictures of the documentation from an experiment on streets, with the project's tools.

    python projects/streets/experiment.py --output output/experiment
    python docs/make_images.py --experiment output/experiment

Screenshots are taken in a headless Chromium: Debian's (`apt-get install chromium`), another one on
the path, or the one that the environment variable CHROMIUM names.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from detectron2.config import LazyConfig
from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from langdg_d2.utils.errors import LangDGError

REPOSITORY = Path(__file__).resolve().parents[1]
CONFIG = REPOSITORY / "projects/streets/configs/experiment.py"
IMAGES = REPOSITORY / "docs/images"
RECIPE = "the recipe"
MODELS = {"source only": "freeze_nothing_no_restyling", RECIPE: "full"}
NIGHT = "acdc/rgb_anon/night/val/GOPR0001/GOPR0001_frame_000002_rgb_anon.png"
CLEAR = "gta5/images/00402.png"  # of the source, not trained on
STYLE = "foggy"
PATIENCE = 120_000  # milliseconds
LARGEST = 450_000  # bytes of a picture


def save(picture: Image.Image, name: str, *, width: int) -> None:
    """Write a JPEG of at most this width, at the best quality within the size limit."""
    height = round(picture.height * min(1, width / picture.width))
    small = picture.convert("RGB").resize((min(width, picture.width), height), Image.LANCZOS)
    file = IMAGES / f"{name}.jpg"
    for quality in range(90, 40, -5):
        small.save(file, quality=quality, optimize=True)
        if file.stat().st_size <= LARGEST:
            return
    raise LangDGError(f"{name} takes more than {LARGEST} bytes; make it smaller than {width} wide")


def command(tool: str, *arguments: object) -> list[str]:
    """A command of the repository."""
    return [sys.executable, str(REPOSITORY / tool), *map(str, arguments)]


def models(experiment: Path) -> list[object]:
    """Options that name the checkpoints, for tools that compare them."""
    files = [experiment / cell / "seed1/model_final.pth" for cell in MODELS.values()]
    return ["--config-file", CONFIG, "--checkpoint", *files, "--names", *MODELS]


def demo(experiment: Path, folder: Path) -> None:
    """Two checkpoints side by side on a night scene."""
    scene = experiment / "datasets" / NIGHT
    views = ["--views", "overlay", "confidence"]
    subprocess.run(
        command("tools/demo.py", *models(experiment), "--input", scene, *views, "--output", folder),
        check=True,
    )
    (written,) = folder.glob("*.png")
    save(Image.open(written), "demo", width=1400)


def styles(experiment: Path, folder: Path) -> None:
    """The styles that the recipe was trained with, in a plane."""
    bank = LazyConfig.load(str(experiment / "full/seed1/config.yaml")).styles.bank
    subprocess.run(command("tools/show_styles.py", bank, "--output", folder), check=True)
    halves = [np.asarray(Image.open(path)) for path in sorted(folder.glob("projection_*.png"))]
    save(Image.fromarray(np.hstack(halves)), "styles", width=1400)


def report(experiment: Path, browser: Browser, folder: Path) -> None:
    """The upper part of the recipe's report."""
    written = folder / "report.html"
    scores = experiment / "full/seed1/scores"
    subprocess.run(command("tools/write_report.py", scores, "--output", written), check=True)
    page = browser.new_page(viewport={"width": 1200, "height": 1500})
    page.goto(written.as_uri())
    page.screenshot(path=folder / "report.png")
    save(Image.open(folder / "report.png"), "report", width=1000)


@contextmanager
def served(experiment: Path) -> Iterator[str]:
    """Address of the page."""
    process = subprocess.Popen(
        command("projects/app/app.py", *models(experiment)), stdout=subprocess.PIPE, text=True
    )
    try:
        yield next(line.split()[1] for line in process.stdout if line.startswith("open "))
    finally:
        process.terminate()
        process.wait()


def app(experiment: Path, browser: Browser, folder: Path) -> None:
    """The page on which a style is typed, mined and tried."""
    with served(experiment) as address:
        page = browser.new_page(viewport={"width": 1300, "height": 900})
        page.set_default_timeout(PATIENCE)
        page.goto(address)
        page.get_by_label(RECIPE).check()
        page.set_input_files("#file input[type=file]", str(experiment / "datasets" / CLEAR))
        page.wait_for_selector("#overlay img")
        page.get_by_role("tab", name="Restyle").click()
        page.fill("#prompt :is(input, textarea)", STYLE)
        page.click("#mine")
        page.wait_for_selector("#styles tbody tr")
        page.wait_for_selector("#difference img")
        page.screenshot(path=folder / "app.png", full_page=True)
    save(Image.open(folder / "app.png"), "app", width=1300)


def chromium_path() -> str | None:
    """Path of a Chromium browser; None if there is none."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless browser."""
    path = chromium_path()
    if path is None:
        sys.exit("there is no Chromium for screenshots: apt-get install chromium")
    with sync_playwright() as driver:
        yield driver.chromium.launch(executable_path=path, timeout=PATIENCE)


def main() -> None:
    """Make all pictures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--experiment", type=Path, required=True, metavar="DIR")
    experiment = parser.parse_args().experiment.resolve()
    IMAGES.mkdir(exist_ok=True)
    with TemporaryDirectory() as name, chromium() as browser:
        folder = Path(name)
        demo(experiment, folder / "demo")
        styles(experiment, folder / "styles")
        report(experiment, browser, folder)
        app(experiment, browser, folder)
    for name in ("mean", "looks", "predictions"):
        save(Image.open(experiment / f"{name}.png"), f"streets_{name}", width=1600)


if __name__ == "__main__":
    main()

"""The report says what the record says, leaves out what is missing, and loads nothing."""

import csv
import json
import re
from collections.abc import Callable
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from langdg_d2.evaluation import BenchmarkFileError
from langdg_d2.structures import CITYSCAPES_19
from langdg_d2.visualization.report import write_report, write_report_of_run
from langdg_d2.visualization.report.conditions import title
from langdg_d2.visualization.report.results_folder import read_results

HEADINGS = ["Scores", "IoU per class", "Confusions", "Images", "Training", "Styles", "Conditions"]
HOSTILE = '<script>alert("1")</script>\'&|`x`'


class Reader(HTMLParser):
    """Attributes and text by tag; every tag that opens has to close."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(document)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.attributes += [(name, value) for name, value in attrs]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        self.attributes += [(name, value) for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and data.strip():
            self.texts.append((self.open[-1], data))

    def text_of(self, tag: str) -> list[str]:
        return [text for name, text in self.texts if name == tag]


@pytest.fixture(scope="module")
def written(make_results: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with its report, to be left as it is."""
    folder = make_results(tmp_path_factory.mktemp("written") / "run")
    write_report(folder)
    return folder


@pytest.fixture(scope="module")
def page(written: Path) -> str:
    return (written / "report.html").read_text()


@pytest.fixture
def folder(make_results: Callable[..., Path], tmp_path: Path) -> Path:
    return make_results(tmp_path / "run")


def read(folder: Path) -> str:
    return write_report(folder).read_text()


def section_of(page: str, heading: str) -> str:
    return page.split(f"<h2>{heading}</h2>")[1].split("</section>")[0]


def drawings_of(part: str) -> list[str]:
    return re.findall("(?s)<svg.*?</svg>", part)


def svg_texts(part: str) -> list[str]:
    return [unescape(text) for text in re.findall(r"<text[^>]*>([^<]*)</text>", part)]


def test_all_sections_are_there_in_order(page: str) -> None:
    assert Reader(page).text_of("h2") == HEADINGS
    assert re.search(r"<h1>Benchmark of streets: written\d+/run</h1>", page)


def test_figures_of_tables_and_bars_are_those_of_the_record(written: Path, page: str) -> None:
    results = json.loads((written / "benchmark.json").read_text())["results"]
    labels = ["gta5 (source)", "acdc_fog", "acdc_night", "mean of unseen targets"]
    table = section_of(page, "Scores").split("</table>")[0]
    rows = [re.findall("<t[dh]>(.*?)</t[dh]>", row) for row in table.split("<tr>")[1:]]
    column = rows[0].index("mIoU (authors)")
    shown = {row[0]: row[column] for row in rows[1:]}
    per_class = section_of(page, "IoU per class")
    drawings = drawings_of(per_class)
    assert len(drawings) == len(labels)
    for label, domain, drawing in zip(labels, results, drawings, strict=True):
        scores = results[domain]["sem_seg"]
        mean = f"{scores['mIoU']:.2f}"
        assert shown[label] == mean
        names = CITYSCAPES_19.names[:5]
        ious = [scores[f"IoU-{name}"] for name in names]
        figures = ["\u2013" if iou is None else f"{iou:.2f}" for iou in ious]
        scale = ["0", "25", "50", "75", "100"]
        assert svg_texts(drawing) == [*scale, *names, *figures, f"{label}: {mean}"]
        assert all(f">{figure}</td>" in per_class for figure in figures)
    mean = f"{results['mean']['sem_seg']['mIoU']:.2f} %"
    assert f"Mean IoU over 2 unseen targets: {mean}" in page


def test_figures_of_matrices_are_shares_of_the_recorded_counts(written: Path, page: str) -> None:
    part = section_of(page, "Confusions")
    details = json.loads((written / "details.json").read_text())
    matrices = drawings_of(part)
    counts = [details[domain]["confusion"] for domain in ("gta5", "acdc_fog", "acdc_night")]
    pairs = zip(counts[1], counts[2], strict=True)
    together = [[a + b for a, b in zip(*rows, strict=True)] for rows in pairs]
    assert "Confusion matrix, All unseen targets together" in matrices[0]
    names = CITYSCAPES_19.names[:5]
    for drawing, rows in zip(matrices, [together, *counts], strict=True):
        texts = svg_texts(drawing)
        assert texts[: len(names)] == list(names)
        shares = [100 * number / sum(row) for row in rows if sum(row) for number in row]
        shown = [text for text in texts if text.isdigit()]
        assert shown == [f"{share:.0f}" for share in shares if share >= 0.5]


def test_pictures_are_inside_with_their_scores_the_worst_first(written: Path, page: str) -> None:
    part = section_of(page, "Images")
    assert part.count('src="data:image/jpeg;base64,') == 3 * 2
    assert Reader(part).text_of("h4") == 3 * ["Worst", "Best"]
    with (written / "images.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * 8
    assert rows[7]["mIoU"] == ""
    captions = Reader(part).text_of("figcaption")
    for k, row in enumerate(rows[i] for start in (0, 8, 16) for i in (start, start + 1)):
        scores = (float(row[key]) for key in ("mIoU", "pixel_accuracy"))
        assert captions[k] == "{}: mIoU {:.2f}, pixel accuracy {:.2f}".format(row["image"], *scores)
    values = sorted(float(row["mIoU"]) for row in rows[:7])
    spread = f"8 images: median mIoU {values[3]:.2f}, lowest {values[0]:.2f}"
    assert f"{spread}, highest {values[-1]:.2f}." in part


def test_conditions_and_sections_of_the_run_are_shown(page: str) -> None:
    assert "<code>road</code>" in section_of(page, "Styles")
    assert "<td>25</td>" in section_of(page, "Styles")
    part = section_of(page, "Conditions")
    for value in ("2026-05-04T03:02:01+00:00", "configs/streets.py", "max_iter: 60", "python"):
        assert value in part


def test_the_markdown_has_the_same_figures_and_links_to_the_pictures(written: Path) -> None:
    text = (written / "report.md").read_text()
    headings = re.findall("^## (.*)$", text, flags=re.MULTILINE)
    training = "Mean IoU during training"
    assert headings == [*HEADINGS[:4], training, "Styles", "Conditions"]
    links = re.findall(r"\]\((.*?)\)", text)
    assert len(links) == 6
    assert all((written / link).is_file() for link in links)
    results = json.loads((written / "benchmark.json").read_text())["results"]
    for tasks in results.values():
        assert f"| {tasks['sem_seg']['mIoU']:.2f} |" in re.sub(" +", " ", text)
    assert "| 59 | 59.25 | 60.25 | 61.25 | 62.25 |" in re.sub(" +", " ", text)


def test_a_page_elsewhere_has_the_same_bytes_and_links_back_to_the_pictures(
    written: Path, page: str, tmp_path: Path
) -> None:
    other = write_report(written, tmp_path / "pages/new/mine.html")
    links = re.findall(r"\]\((.*?)\)", other.with_suffix(".md").read_text())
    assert all((other.parent / link).is_file() for link in links)
    assert other.read_text() == page


def test_what_is_missing_is_left_out(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name, heading in (
        ("metrics.json", "Training"),
        ("overlays", None),
        ("images.csv", "Images"),
        ("details.json", "Confusions"),
    ):
        (folder / name).rename(folder.parent / name)
        found = Reader(read(folder)).text_of("h2")
        assert heading not in found
        assert {"Scores", "IoU per class", "Conditions"} <= set(found)
    record = json.loads((folder / "benchmark.json").read_text())
    for newer in ("date", "environment", "sections"):
        del record[newer]
    (folder / "benchmark.json").write_text(json.dumps(record | {"config": None}))
    assert Reader(read(folder)).text_of("h2") == ["Scores", "IoU per class", "Conditions"]
    assert not caplog.records


def test_a_scored_checkpoint_has_name_and_curves_of_its_training(
    make_results: Callable[..., Path], tmp_path: Path
) -> None:
    trained = read_results(make_results(tmp_path / "source_only/seed1"))
    weights = str(trained.folder / "model_final.pth")
    scored = make_results(tmp_path / "scored", weights=weights)
    (scored / "metrics.json").rename(tmp_path / "metrics.json")
    results = read_results(scored)
    assert results.metrics == trained.metrics != {}
    assert title(results) == title(trained) == "Benchmark of streets: source_only/seed1"
    assert title(read_results(make_results(tmp_path / "recipe/seed1"))) != title(trained)
    (scored / "metrics.json").write_text('{"iteration": 0, "lr": 5}')
    assert read_results(scored).metrics == {"lr": {0: 5}}


def test_damaged_parts_are_told_and_left_out(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "details.json").write_text('{"gta5": {"classes": ["road"], "confusion": [[1, 2]]}}')
    (folder / "images.csv").write_text("domain,image\nfog,a\n")
    with (folder / "metrics.json").open("a") as file:
        file.write('{"iteration": 60, "total')
    found = Reader(read(folder)).text_of("h2")
    assert found == ["Scores", "IoU per class", "Training", "Styles", "Conditions"]
    assert len(caplog.records) == 3


def test_without_a_record_there_is_no_report_and_a_run_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(BenchmarkFileError, match="train_net.py --eval-only"):
        write_report(tmp_path)
    write_report_of_run(tmp_path)
    assert not caplog.messages
    assert not list(tmp_path.iterdir())
    (tmp_path / "benchmark.json").write_text("{}")
    write_report_of_run(tmp_path)
    assert "tools/write_report.py" in caplog.text


def test_hostile_texts_stay_texts_and_nothing_is_loaded(
    make_results: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make_results(
        tmp_path / "run",
        domains=("gta5", f"fog{HOSTILE.replace('/', '')}"),
        classes=("road", "sky", HOSTILE),
        protocol=HOSTILE,
        config_file=HOSTILE,
        weights=HOSTILE,
        config={HOSTILE: [HOSTILE, "```\n# heading", "\ud800"]},
        sections={HOSTILE: f"{HOSTILE}\n\n- {HOSTILE}\n\n| {HOSTILE} |\n|---|\n| {HOSTILE} |"},
    )
    details = json.loads((folder / "details.json").read_text())
    details["gta5"]["pictures"][0] |= {"image": HOSTILE, "kind": "worst"}
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    details["gta5"]["pictures"][1]["file"] = "../secret.jpg"
    (folder / "details.json").write_text(json.dumps(details))
    page = read(folder)
    assert "<script" not in page
    document = Reader(page)
    assert all(not name.startswith("on") for name, _ in document.attributes)
    targets = [
        value for name, value in document.attributes if name in ("src", "href", "xlink:href")
    ]
    assert targets
    assert all(re.match(r"data:image/(jpeg|png);base64,|#[fs]\w", value) for value in targets)
    assert "url(" not in page.replace("url(#", "")
    assert "c2VjcmV0" not in page
    text = (folder / "report.md").read_text()
    ours = text.split("\n## \\<script")[0], text.split("## Conditions")[1].split("```")[0]
    assert "\\<script" in ours[0]
    assert "\\<script" in ours[1]
    for part in ours:  # all but the section of the run, which is Markdown already, and the config
        assert "<script" not in part.replace("\\<script", "")
    block = text.split("<details>")[1]
    assert block.count("````") == 2  # a fence longer than any inside


def test_a_page_of_nine_domains_stays_below_three_megabytes(
    make_results: Callable[..., Path], tmp_path: Path
) -> None:
    domains = tuple(f"domain_{k}" for k in range(9))
    noise = np.random.default_rng(0).integers(0, 256, (640, 640, 3), dtype=np.uint8)
    folder = make_results(
        tmp_path / "run",
        domains=domains,
        classes=CITYSCAPES_19.names,
        picture=cv2.imencode(".jpg", noise)[1].tobytes(),
        each_kind=3,
    )
    page = write_report(folder)
    assert page.read_text().count("data:image/jpeg") == 9 * 6
    assert page.stat().st_size < 3_000_000


def test_sets_that_are_not_the_published_ones_are_named(
    make_results: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make_results(tmp_path / "run", sets={"acdc_fog": "3 of 100 images"})
    page = write_report(folder)
    for text in (page.read_text(), page.with_suffix(".md").read_text()):
        assert "acdc_fog (3 of 100 images)" in text
        assert "2 unseen targets, 1 of them not the published set:" in text

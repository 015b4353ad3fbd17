"""The report says what the record says, leaves out what is missing, and loads nothing."""

import csv
import json
import math
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from langdg_d2.evaluation import BenchmarkFileError, BenchmarkRun, write_benchmark
from langdg_d2.structures import CITYSCAPES_19
from langdg_d2.visualization.report import (
    embedded_pictures,
    read_metrics,
    report_values,
    write_report,
    write_report_of_run,
)

NAMES = CITYSCAPES_19.names
HEADINGS = ["Scores", "IoU per class", "Confusions", "Images", "Training", "Styles", "Conditions"]
HOSTILE = '<script>alert("1")</script>\'&|`x`'


def random_details(
    rng: np.random.Generator, domain: str, classes: list[str], each_kind: int
) -> dict[str, Any]:
    """What evaluators tell of a domain; the last class has no pixels."""
    counts = rng.integers(0, 50_000, (len(classes), len(classes)))
    counts[-1] = 0
    images = [[f"{domain} {k}", *rng.uniform(0, 100, 2).tolist()] for k in range(7)]
    pictures = [
        {"file": f"{domain}_{kind}_{1 + k // 2}.jpg", "kind": kind, "image": image}
        | {"mIoU": miou, "pixel_accuracy": accuracy}
        for k, (kind, (image, miou, accuracy)) in enumerate(
            zip(["worst", "best"] * each_kind, images, strict=False)
        )
    ]
    colors = dict(zip(classes, map(list, CITYSCAPES_19.colors), strict=False))
    return {
        "classes": classes,
        "confusion": counts.tolist(),
        "images": [*images, [f"{domain} unlabelled", math.nan, math.nan]],
        "pictures": pictures,
        "colors": colors,
    }


def write_results(
    folder: Path,
    *,
    domains: tuple[str, ...] = ("gta5", "acdc_fog", "acdc_night"),
    classes: tuple[str, ...] = NAMES[:5],
    picture: bytes | None = None,
    each_kind: int = 1,
    **changes: Any,
) -> Path:
    """A results folder with everything, of random figures; the first domain is the source."""
    rng = np.random.default_rng(0)
    results = {}
    for domain in domains:
        table = {"mIoU": rng.uniform(0, 100), "mIoU_detectron2": math.nan, "num_images": 8.0}
        table |= {f"IoU-{name}": float(rng.uniform(0, 100)) for name in classes}
        results[domain] = {"sem_seg": table | {f"IoU-{classes[-1]}": math.nan}}
    details = {domain: random_details(rng, domain, list(classes), each_kind) for domain in domains}
    arguments = {
        "protocol": "full",
        "source": domains[0],
        "config_file": "configs/streets.py",
        "config": {"train": {"max_iter": 60, "seed": 7}, "list": [1, {"a": None}]},
        "seed": 7,
        "date": "2026-05-04T03:02:01+00:00",
        "sections": {
            "Styles": {"notes": ["Of road."], "table": {"class": ["road"], "styles": [25]}}
        },
    }
    write_benchmark(results, BenchmarkRun(**(arguments | changes)), folder, details=details)
    write_metrics(folder, [*results, "mean"])
    if picture is None:
        smooth = np.broadcast_to(np.arange(96, dtype=np.uint8)[:, None, None], (96, 64, 3))
        picture = cv2.imencode(".jpg", smooth)[1].tobytes()
    (folder / "overlays").mkdir()
    for found in details.values():
        for one in found["pictures"]:
            (folder / "overlays" / one["file"]).write_bytes(picture)
    return folder


def write_metrics(folder: Path, domains: list[str]) -> None:
    """Three evaluations in sixty iterations."""
    lines = []
    for k in range(60):
        loss = 1 / (k + 1)
        lines.append({"iteration": k, "total_loss": loss, "loss_sem_seg": loss, "lr": 0.1})
        if k % 20 == 19:
            scores = {f"{domain}/mIoU": k + 0.25 + i for i, domain in enumerate(domains)}
            lines.append({"iteration": k} | scores)
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    (folder / "metrics.json").write_text(text)


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
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with its report, to be left as it is."""
    folder = write_results(tmp_path_factory.mktemp("written") / "run")
    write_report(folder)
    return folder


@pytest.fixture(scope="module")
def page(written: Path) -> str:
    return (written / "report.html").read_text()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_results(tmp_path / "run")


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
    (means,) = drawings_of(section_of(page, "Scores"))
    assert [text for text in svg_texts(means) if "." in text] == list(shown.values())
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
    captions = [text for text in Reader(part).text_of("figcaption") if "accuracy" in text]
    for k, row in enumerate(rows[i] for start in (0, 8, 16) for i in (start, start + 1)):
        scores = (float(row[key]) for key in ("mIoU", "pixel_accuracy"))
        assert captions[k] == "{}: mIoU {:.2f}, pixel accuracy {:.2f}".format(row["image"], *scores)
    values = sorted(float(row["mIoU"]) for row in rows[:7])
    spread = f"8 images: median mIoU {values[3]:.2f}, lowest {values[0]:.2f}"
    assert f"{spread}, highest {values[-1]:.2f}." in part


def test_conditions_and_sections_of_the_run_are_shown(page: str) -> None:
    assert "<p>Of road.</p>" in section_of(page, "Styles")
    assert "<td>25</td>" in section_of(page, "Styles")
    part = section_of(page, "Conditions")
    for value in ("2026-05-04T03:02:01+00:00", "configs/streets.py", "max_iter: 60", "python"):
        assert value in part


def test_a_page_elsewhere_has_the_same_bytes(written: Path, page: str, tmp_path: Path) -> None:
    assert write_report(written, tmp_path / "pages/new/mine.html").read_text() == page


def test_a_section_of_an_earlier_version_is_shown_as_its_text(folder: Path) -> None:
    record = json.loads((folder / "benchmark.json").read_text())
    record["sections"] = {"Styles": "| class |\n|---|\n| <road> |"}
    (folder / "benchmark.json").write_text(json.dumps(record))
    assert "<p>| class |\n|---|\n| &lt;road&gt; |</p>" in section_of(read(folder), "Styles")


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


def test_a_scored_checkpoint_has_name_and_curves_of_its_training(tmp_path: Path) -> None:
    trained = write_results(tmp_path / "source_only/seed1")
    scored = write_results(tmp_path / "scored", weights=str(trained / "model_final.pth"))
    (scored / "metrics.json").rename(tmp_path / "metrics.json")
    pages = [read(folder) for folder in (trained, scored)]
    curves = [drawings_of(section_of(page, "Training")) for page in pages]
    assert len(curves[0]) == 3
    assert curves[0] == curves[1]
    titles = [Reader(page).text_of("h1") for page in pages]
    assert titles == [["Benchmark of streets: source_only/seed1"]] * 2
    assert report_values(write_results(tmp_path / "recipe/seed1"))["title"] not in titles[0]
    (scored / "metrics.json").write_text('{"iteration": 0, "lr": 5}')
    (own,) = drawings_of(section_of(read(scored), "Training"))
    assert "5 lr" in svg_texts(own)


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
    tmp_path: Path,
) -> None:
    folder = write_results(
        tmp_path / "run",
        domains=("gta5", f"fog{HOSTILE.replace('/', '')}"),
        classes=("road", "sky", HOSTILE),
        protocol=HOSTILE,
        config_file=HOSTILE,
        weights=HOSTILE,
        config={HOSTILE: [HOSTILE, "```\n# heading", "\ud800"]},
        sections={HOSTILE: {"notes": [HOSTILE], "table": {HOSTILE: [HOSTILE]}}},
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
    assert all(re.match(r"data:image/(jpeg|png);base64,|#\w", value) for value in targets)
    assert "url(" not in page.replace("url(#", "")
    assert "c2VjcmV0" not in page


def test_a_page_of_nine_domains_stays_below_three_megabytes(
    tmp_path: Path,
) -> None:
    domains = tuple(f"domain_{k}" for k in range(9))
    noise = np.random.default_rng(0).integers(0, 256, (640, 640, 3), dtype=np.uint8)
    folder = write_results(
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
    tmp_path: Path,
) -> None:
    folder = write_results(tmp_path / "run", sets={"acdc_fog": "3 of 100 images"})
    page = read(folder)
    assert "acdc_fog (3 of 100 images)" in page
    assert "2 unseen targets (1 not as published):" in page


def test_pictures_shrink_alike_until_they_fit(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    files = [tmp_path / name for name in ("0.jpg", "1.jpg", "2.jpg", "broken.jpg", "missing.jpg")]
    for k, file in enumerate(files[:3]):
        noise = rng.integers(0, 256, (120 + 20 * k, 100, 3), dtype=np.uint8)
        file.write_bytes(cv2.imencode(".jpg", noise)[1].tobytes())
    files[3].write_bytes(b"\xff\xd8\xff")

    def shapes(budget: int) -> list[tuple[int, ...]]:
        embedded = embedded_pictures(files, budget)
        assert sum(map(len, embedded.values())) <= budget
        assert list(embedded) == files[:3]
        images = (np.frombuffer(data, np.uint8) for data in embedded.values())
        return [cv2.imdecode(image, cv2.IMREAD_COLOR).shape[:2] for image in images]

    assert shapes(100_000) == [(120, 100), (140, 100), (160, 100)]
    assert shapes(12_000) == [(78, 65), (91, 65), (104, 65)]


def test_metrics_of_what_a_resumed_run_did_again_count_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines = [{"iteration": k, "total_loss": float(k), "lr": 1.0} for k in range(5)]
    lines.insert(3, {"iteration": 2, "acdc_fog/mIoU": 20.0})
    lines.append({"iteration": 4, "acdc_fog/mIoU": 40.0})
    # From the checkpoint after iteration 2 on; an evaluation may bear the same number.
    lines += [{"iteration": k, "total_loss": 10.0 * k} for k in (3, 4)]
    lines += [
        {"iteration": 4, "acdc_fog/mIoU": float("nan"), "name": "text", "list": [1]},
        {"no": 1},
    ]
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    (tmp_path / "metrics.json").write_text(text + '{"iteration": 5, "tot')
    metrics = read_metrics(tmp_path / "metrics.json")
    assert {name: metrics[name].dropna().to_dict() for name in metrics} == {
        "total_loss": {0: 0, 1: 1, 2: 2, 3: 30, 4: 40},
        "lr": {0: 1, 1: 1, 2: 1},
        "acdc_fog/mIoU": {2: 20},
    }
    assert len(caplog.records) == 2
    (tmp_path / "metrics.json").write_text("")
    assert read_metrics(tmp_path / "metrics.json").empty

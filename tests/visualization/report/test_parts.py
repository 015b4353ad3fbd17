"""What the plots show and the arithmetic behind them, against slow references."""

import json
import math
import re
from collections.abc import Callable
from html import escape
from pathlib import Path

import cv2
import numpy as np
import pytest

from langdg_d2.evaluation import ImageScore
from langdg_d2.evaluation.markdown import markdown_table, plain_markdown
from langdg_d2.visualization.figures import BLUE, ORANGE, rgb
from langdg_d2.visualization.report.bars import bars_figure
from langdg_d2.visualization.report.blocks import html_blocks, inline
from langdg_d2.visualization.report.curves import condense, curves_figure
from langdg_d2.visualization.report.matrices import largest_confusions, matrix_figure, row_shares
from langdg_d2.visualization.report.pictures import embedded_pictures, spread_figure
from langdg_d2.visualization.report.results_folder import Picture, read_results


def test_rows_of_shares_sum_to_one_or_are_missing() -> None:
    counts = np.random.default_rng(0).integers(0, 100, (4, 4))
    counts[2] = 0
    shares = row_shares(counts)
    assert shares.sum(axis=1) == pytest.approx([1, 1, np.nan, 1], nan_ok=True)
    assert shares[1, 3] == counts[1, 3] / counts[1].sum()


def test_largest_confusions_are_those_of_a_slow_search() -> None:
    counts = np.random.default_rng(1).integers(0, 1000, (5, 5))
    counts[3] = 0
    counts[4] = [0, 0, 0, 1, 10_000]  # below a per mille
    names = list("abcde")
    slow = sorted(
        (
            (counts[i, j] / counts[i].sum(), names[i], names[j], counts[i, j])
            for i in (0, 1, 2)
            for j in range(5)
            if i != j
        ),
        reverse=True,
    )
    expected = [(truth, taken, share, pixels) for share, truth, taken, pixels in slow]
    assert largest_confusions(names, counts, 4) == expected[:4]
    assert len(largest_confusions(names, counts, 100)) == len(expected)


def test_fields_of_a_matrix_are_as_strong_as_shares_and_say_them_in_percent() -> None:
    counts = np.array([[9790, 100, 100, 10, 0], *np.random.default_rng(1).integers(0, 99, (4, 5))])
    counts[3] = 0
    axes = matrix_figure(list("abc$_"), counts).axes[0]
    fields = np.asarray(axes.images[0].get_array())
    figures = {text.get_position(): text.get_text() for text in axes.texts}
    for i, row in enumerate(counts.tolist()):
        for j, pixels in enumerate(row):
            share = pixels / sum(row) if sum(row) else 0
            color = BLUE if i == j else ORANGE
            assert (255 * fields[i, j, :3]).round().tolist() == list(rgb(color))
            assert fields[i, j, 3] ** 2 == pytest.approx(share)
            assert figures.get((j, i), "") == (f"{100 * share:.0f}" if share >= 0.005 else "")
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b", "c", r"\$", "_"]


def test_bars_are_as_long_as_ious_and_ticks_stand_at_the_reference() -> None:
    ious = {"road": 97.5, "sky": math.nan, "car": 3.25}
    figure = bars_figure("fog", ious, mean=50.375, reference={"car": 40.0, "train": 1.0})
    (axes,) = figure.axes
    assert [bar.get_width() for bar in axes.patches] == [97.5, 0, 3.25]
    assert [text.get_text() for text in axes.texts] == ["97.50", "\u2013", "3.25"]
    assert axes.lines[0].get_xdata().tolist() == pytest.approx([math.nan] * 2 + [40], nan_ok=True)
    assert axes.lines[0].get_ydata().tolist() == [bar.get_y() + 0.325 for bar in axes.patches]
    assert figure.get_suptitle() == "fog: 50.38"


def test_a_histogram_counts_images_and_marks_their_median() -> None:
    values = [0.0, 3.9, 4.1, 50.0, 51.0, 52.1, 100.0]
    images = [ImageScore(str(v), v, 1.0) for v in (*values, math.nan)]
    axes = spread_figure(images).axes[0]
    numbers = {round(bar.get_x()) // 4: bar.get_height() for bar in axes.patches}
    assert {k: n for k, n in numbers.items() if n} == {0: 2, 1: 1, 12: 2, 13: 1, 24: 1}
    assert list(axes.lines[0].get_xdata()) == [50, 50]
    assert not spread_figure(images[-1:]).axes[0].patches


def test_condensed_curves_keep_mean_and_extremes() -> None:
    values = np.random.default_rng(2).normal(size=1003)
    series = {20 * k: float(value) for k, value in enumerate(values)}
    curve = condense(series, limit=100)
    assert len(curve.mean) == 100
    assert curve.low.min() == values.min()
    assert curve.high.max() == values.max()
    sizes = [len(part) for part in np.array_split(values, 100)]
    assert np.average(curve.mean, weights=sizes) == pytest.approx(values.mean())
    short = condense({3: 1.0, 7: 2.0})
    assert short.iterations.tolist() == [3, 7]
    assert short.low.tolist() == short.mean.tolist() == short.high.tolist() == [1, 2]


def test_curves_have_bands_of_extremes_and_a_legend_of_last_values() -> None:
    noise = np.random.default_rng(2).uniform(0.1, 1, 1000)
    curves = {"_long": dict(enumerate(noise.tolist())), "mean": {0: 1.0, 999: 0.123456}}
    figure = curves_figure("Loss", curves, emphasized="mean")
    (axes,) = figure.axes
    long, short = axes.lines
    assert long.get_ydata().tolist() == noise.reshape(200, 5).mean(axis=1).tolist()
    assert short.get_xydata().tolist() == [[0, 1], [999, 0.123456]]
    (band,) = axes.collections
    heights = band.get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == (noise.min(), noise.max())
    assert (long.get_marker(), short.get_marker()) == ("", ".")
    assert (long.get_color(), short.get_color()) == (BLUE, "black")
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == [f"{noise[-1]:.4g} _long", "0.1235 mean"]
    assert axes.get_ylim()[0] == 0
    assert curves_figure("mIoU", curves, from_zero=False).axes[0].get_ylim()[0] > 0


@pytest.mark.parametrize("values", [[0.0], [5.0, 5.0], [0.0, 1e-9], [-3.0, 1e6]])
def test_any_values_have_an_axis(values: list[float]) -> None:
    low, high = curves_figure("title", {"a": dict(enumerate(values))}).axes[0].get_ylim()
    assert low == min(0.0, *values)
    assert max(values) < high < math.inf


def test_pictures_shrink_alike_until_they_fit(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    pictures = []
    for k in range(3):
        noise = rng.integers(0, 256, (120 + 20 * k, 100, 3), dtype=np.uint8)
        file = tmp_path / f"{k}.jpg"
        file.write_bytes(cv2.imencode(".jpg", noise)[1].tobytes())
        pictures.append(Picture(file, "best", ImageScore(str(k), 1.0, 2.0)))
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    pictures.append(Picture(tmp_path / "broken.jpg", "worst", ImageScore("x", 1.0, 2.0)))
    found = {"fog": pictures[:1], "night": pictures[1:]}

    def shapes(budget: int) -> list[tuple[int, ...]]:
        embedded = embedded_pictures(found, budget)
        assert sum(map(len, embedded.values())) <= budget
        assert list(embedded) == ["0.jpg", "1.jpg", "2.jpg"]
        images = (np.frombuffer(data, np.uint8) for data in embedded.values())
        return [cv2.imdecode(image, cv2.IMREAD_COLOR).shape[:2] for image in images]

    assert shapes(100_000) == [(120, 100), (140, 100), (160, 100)]
    assert shapes(12_000) == [(78, 65), (91, 65), (104, 65)]


def test_metrics_of_what_a_resumed_run_did_again_count_once(
    make_results: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make_results(tmp_path / "run")
    lines = [{"iteration": k, "total_loss": float(k), "lr": 1.0} for k in range(5)]
    lines.insert(3, {"iteration": 2, "acdc_fog/mIoU": 20.0})
    lines.append({"iteration": 4, "acdc_fog/mIoU": 40.0})
    # From the checkpoint after iteration 2 on; an evaluation may bear the same number.
    lines += [{"iteration": k, "total_loss": 10.0 * k} for k in (3, 4)]
    lines += [{"iteration": 4, "acdc_fog/mIoU": float("nan"), "name": "text"}, {"no": 1}]
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    (folder / "metrics.json").write_text(text + '{"iteration": 5, "tot')
    results = read_results(folder)
    assert results.metrics == {
        "total_loss": {0: 0, 1: 1, 2: 2, 3: 30, 4: 40},
        "lr": {0: 1, 1: 1, 2: 1},
        "acdc_fog/mIoU": {2: 20},
    }
    assert results.mean_ious == {"acdc_fog": {2: 20}}


def test_markdown_becomes_paragraphs_lists_and_tables() -> None:
    table = "| a | b |\n|---|---|\n| 1 | x\\|y |"
    text = f"Some `code <b>` & more\nin two lines\n\n- one\n- `two`\n\n{table}"
    html = html_blocks(text)
    assert "<p>Some <code>code &lt;b&gt;</code> &amp; more\nin two lines</p>" in html
    assert "<ul><li>one</li><li><code>two</code></li></ul>" in html
    assert "<th>a</th><th>b</th>" in html
    assert "<td>1</td><td>x|y</td>" in html
    uneven = "| a | a |\n|---|---|\n| 1 | <2> |"
    assert html_blocks(uneven) == (
        '<div class="wide"><pre>| a | a |\n|---|---|\n| 1 | &lt;2&gt; |</pre></div>'
    )
    assert inline("no end of `code") == "no end of `code"


@pytest.mark.parametrize("text", ["a|b", "<i>`x`</i>", r"\`*[x](y)", "\\", r"\|`", "x\n| y"])
def test_any_text_of_a_table_is_read_back_from_its_markdown(text: str) -> None:
    table = markdown_table({text: [text, "1"], "b": ["c", text]})
    assert len(table.splitlines()) == 4
    shown = escape(" ".join(text.split()))
    assert re.findall("<t[hd]>(.*?)</t[hd]>", html_blocks(table)) == [
        *(shown, "b"),
        *(shown, "c"),
        *("1", shown),
    ]
    assert inline(plain_markdown(text)) == shown

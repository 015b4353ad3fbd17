"""What the figures of the report show, against slow references."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

from langdg_d2.structures import ChannelStats
from langdg_d2.visualization.figures import (
    BLUE,
    ORANGE,
    OTHER,
    bars_figure,
    curves_figure,
    histogram_figure,
    largest_confusions,
    matrix_figure,
    restyling_figure,
    rgb,
    row_shares,
)


def matrix(counts: object, names: str) -> pd.DataFrame:
    return pd.DataFrame(counts, index=list(names), columns=list(names))


def test_rows_of_shares_sum_to_one_or_are_zero() -> None:
    counts = matrix(np.random.default_rng(0).integers(1, 100, (4, 4)), "abcd")
    counts.loc["c"] = 0
    shares = row_shares(counts)
    assert shares.sum(axis=1).tolist() == pytest.approx([1, 1, 0, 1])
    assert shares.loc["b", "d"] == counts.loc["b", "d"] / counts.loc["b"].sum()


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
    expected = [(truth, taken, f"{share:.1%}", pixels) for share, truth, taken, pixels in slow]
    frame = matrix(counts, "abcde")
    listed = largest_confusions(frame, 4)
    assert list(listed.itertuples(index=False, name=None)) == expected[:4]
    assert len(largest_confusions(frame, 100)) == len(expected)


def test_matrix_cells_show_shares_by_colour_and_percent() -> None:
    counts = np.array([[9790, 100, 100, 10, 0], *np.random.default_rng(1).integers(0, 99, (4, 5))])
    counts[3] = 0
    axes = matrix_figure(matrix(counts, "abc$_")).axes[0]
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
    ious = pd.Series({"road": 97.5, "sky": math.nan, "car": 3.25})
    reference = pd.Series({"car": 40.0, "train": 1.0})
    figure = bars_figure("fog", ious, mean=50.375, reference=reference)
    (axes,) = figure.axes
    assert [bar.get_width() for bar in axes.patches] == [97.5, 0, 3.25]
    assert [text.get_text() for text in axes.texts] == ["97.50", "\u2013", "3.25"]
    assert axes.lines[0].get_xdata().tolist() == pytest.approx([math.nan] * 2 + [40], nan_ok=True)
    assert axes.lines[0].get_ydata().tolist() == [bar.get_y() + 0.325 for bar in axes.patches]
    assert figure.get_suptitle() == "fog: 50.38"
    alone = bars_figure("Mean IoU", ious)
    assert not alone.axes[0].lines
    assert alone.get_suptitle() == "Mean IoU"


def test_a_histogram_counts_images_and_marks_their_median() -> None:
    values = pd.Series([0.0, 3.9, 4.1, 50.0, 51.0, 52.1, 100.0, math.nan])
    axes = histogram_figure(values).axes[0]
    numbers = {round(bar.get_x()) // 4: bar.get_height() for bar in axes.patches}
    assert {k: n for k, n in numbers.items() if n} == {0: 2, 1: 1, 12: 2, 13: 1, 24: 1}
    assert list(axes.lines[0].get_xdata()) == [50, 50]
    assert not histogram_figure(values[-1:]).axes[0].patches


def test_long_curves_are_smoothed_and_the_legend_gives_last_values() -> None:
    noise = np.random.default_rng(2).uniform(0.1, 1, 1000)
    curves = pd.DataFrame({"_long": noise}).assign(mean=math.nan)
    curves.loc[[0, 999], "mean"] = [1.0, 0.123456]
    figure = curves_figure("Loss", curves, emphasized="mean")
    (axes,) = figure.axes
    smooth, long, short = axes.lines
    assert long.get_ydata() == pytest.approx(noise)
    assert smooth.get_ydata()[500] == pytest.approx(noise[495:505].mean())
    assert len(smooth.get_ydata()) == 1000
    assert short.get_xydata().tolist() == [[0, 1], [999, 0.123456]]
    assert (smooth.get_marker(), short.get_marker()) == ("", ".")
    assert (smooth.get_color(), short.get_color()) == (BLUE, "black")
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == [f"{noise[-1]:.4g} _long", "0.1235 mean"]
    assert axes.get_ylim()[0] == 0
    assert curves_figure("mIoU", curves, from_zero=False).axes[0].get_ylim()[0] > 0


@pytest.mark.parametrize("values", [[0.0], [5.0, 5.0], [0.0, 1e-9], [-3.0, 1e6]])
def test_any_values_have_an_axis(values: list[float]) -> None:
    low, high = curves_figure("title", pd.DataFrame({"a": values})).axes[0].get_ylim()
    assert low == min(0.0, *values)
    assert max(values) < high < math.inf


def test_restyling_leads_from_own_to_mixed_statistics() -> None:
    torch.manual_seed(0)
    own, mixed = (ChannelStats(*torch.rand(2, 2, 5, 1, 2)) for _ in range(2))
    figure = restyling_figure(own, mixed, ["road", "sky", "$", "road"], {"road": BLUE})
    (axes,) = figure.axes
    assert len(axes.lines) == 4
    for line, (image, column) in zip(axes.lines, [(0, 0), (1, 1), (0, 1), (1, 0)], strict=True):
        patch = [
            [float(part[image, :, 0, column].mean()) for part in stats] for stats in (own, mixed)
        ]
        assert line.get_xydata() == pytest.approx(np.array(patch))
    assert [line.get_color() for line in axes.lines] == [BLUE, BLUE, OTHER, OTHER]
    shown = [text.get_text() for text in figure.legends[0].get_texts()]
    assert shown == ["2 road", "1 sky", r"1 \$"]

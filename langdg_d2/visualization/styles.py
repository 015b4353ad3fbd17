"""What a style bank holds: counts, cosines, styles in a plane, and the nearest source patches.

A style gives every channel a mean and a standard deviation, so it is a point (mean, std) of twice
as many dimensions as there are channels. The distance of two points,

    sqrt(|mean_a - mean_b|^2 + |std_a - std_b|^2),

is the root of the squared difference that restyling one content with the one and the other makes
to an average pixel, before ReLU and summed over channels. Where no std is negative it is also the
2-Wasserstein (Frechet) distance of the two diagonal Gaussians (Dowson and Landau, The Frechet
distance between multivariate normal distributions, Journal of Multivariate Analysis 12, 1982).
"""

import colorsys
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ..modeling import ClipResNet, PixelNormalization
from ..structures import PatchGrid, patch_stats
from ..styles import BankHeader, StyleBank, StyleBankError
from ..styles.bank import IGNORE
from ..utils.file_io import write_atomically
from .figures import DISTINCT, OTHER, plain, printable
from .page import parts, png, render
from .palettes import Palette
from .sem_seg import Image, encode

METHODS = ("pca", "tsne")
PAGE = "styles.html"
_COSINES = ["cosine before", "cosine after", "gain"]
_MOST_ROWS = 300  # of the table of prompts
_MOST_PICTURES = 240
_LONGEST = 300  # characters of a setting
_SIDE = 160  # pixels of a patch's picture, at most
_TURN = 0.618  # of the colour circle between classes that the palette does not have
_MARKERS = "os^Dv<>Xph*P"  # classes of like colours differ by them
_REST = "(others)"
_WHOLE = PatchGrid(1, 1)

Colors = Mapping[str, tuple[float, float, float]]  # RGB in 0..1 by class name


class SourcePatch(NamedTuple):
    """A patch of a source image.

    Attributes:
        distance: of its own style from the style it was found for.
        caption: distance, class and name of the image.
        jpeg: its picture, the content of a file.
    """

    distance: float
    caption: str
    jpeg: bytes


class PatchReader:
    """The patches of images and their own styles, as mining sees them.

    Args:
        backbone: whose restyled features count.
        grid: patches that images are cut into.
        normalize: of the images, as in mining.
        device: where it runs.
    """

    def __init__(
        self,
        *,
        backbone: ClipResNet,
        grid: PatchGrid,
        normalize: PixelNormalization,
        device: str,
    ) -> None:
        # Mining has this memory format, and sums in another order differ in their last digits.
        self._backbone = backbone.eval().to(device, memory_format=torch.channels_last)
        self._grid = grid
        self._normalize = normalize.to(device)

    @torch.no_grad()
    def points(self, images: Tensor) -> Tensor:
        """Style points (N * patches, 2C) of images (N, 3, H, W) in 0..255, image by image."""
        features = self._backbone.forward_low(self._normalize(images))[self._backbone.restyled]
        patches = self._grid.split(features)
        # As in mining, where the grid does not divide evenly patches have the smallest one's size.
        height = min(patch.shape[-2] for patch in patches)
        width = min(patch.shape[-1] for patch in patches)
        equal = torch.stack([patch[..., :height, :width] for patch in patches], dim=1)
        own = patch_stats(equal.flatten(0, 1), _WHOLE)
        return style_points(own.mean.flatten(1), own.std.flatten(1))

    def classes(self, labels: Tensor) -> Tensor:
        """(N * patches,) most frequent labels of label maps (N, H, W) uint8."""
        return self._grid.majority(labels).flatten()

    def picture(self, images: Sequence[Tensor], number: int) -> Image:
        """The pixels (h, w, 3) of a patch, numbered image by image, of images (3, H, W) uint8."""
        image, patch = divmod(number, self._grid.rows * self._grid.cols)
        return self._grid.split(images[image])[patch].permute(1, 2, 0).numpy()


def style_points(mean: Tensor, std: Tensor) -> Tensor:
    """(S, 2C) points of S styles whose mean and std are (S, C)."""
    return torch.cat([mean, std], dim=1)


def pairwise(first: Tensor, second: Tensor) -> Tensor:
    """(S, T) distances between points (S, D) and (T, D)."""
    # The faster way, by a matrix product, loses the digits of small distances.
    return torch.cdist(first, second, compute_mode="donot_use_mm_for_euclid_dist")


def style_prompts(bank: StyleBank) -> list[str]:
    """The style prompt of each style: its target text without the name of its class.

    Texts without the name stay as they are.
    """
    names = _names(bank.header)
    return [
        _without(names[k], text)
        for k, text in zip(bank.class_id.tolist(), bank.prompts, strict=True)
    ]


def typical_styles(bank: StyleBank) -> list[int]:
    """The row of each class's style that lies nearest to the class's mean, class by class."""
    points = style_points(bank.mean, bank.std).double()
    rows = []
    for k in bank.header.labels.values():
        if len(own := (bank.class_id == k).nonzero().flatten()):
            center = points[own].mean(dim=0, keepdim=True)
            rows.append(int(own[pairwise(points[own], center).argmin()]))
    return rows


def nearest_patches(
    bank: StyleBank,
    batches: Iterable[Sequence[Mapping[str, Any]]],
    *,
    rows: Sequence[int],
    reader: PatchReader,
    count: int,
    own_class: bool,
) -> dict[int, list[SourcePatch]]:
    """The source patches whose own statistics lie nearest to styles, the nearest first.

    Memory holds one batch and the pictures kept. Of patches at the same distance the earlier one
    counts as nearer.

    Args:
        bank: mined with the reader's backbone and grid.
        batches: for each image "image" (3, H, W) uint8 RGB, "sem_seg" (H, W) uint8 train ids and
            "file_name"; the images of a batch have one size.
        rows: styles of the bank.
        reader: of the patches.
        count: patches for each style, at most.
        own_class: compare a style with patches of its class alone.
    """
    names = _names(bank.header)
    styles = style_points(bank.mean, bank.std)[list(rows)]
    found: dict[int, list[SourcePatch]] = {row: [] for row in rows}
    for batch in batches:
        images = [example["image"] for example in batch]
        points = reader.points(torch.stack(images))
        classes = reader.classes(torch.stack([example["sem_seg"] for example in batch]))
        distances = pairwise(styles.to(points), points).cpu()
        if own_class:
            distances[bank.class_id[list(rows), None] != classes] = torch.inf
        patches_of_image = len(classes) // len(batch)
        values, numbers = (x[:, :count].tolist() for x in distances.sort(dim=1, stable=True))
        for own, *nearest in zip(found.values(), values, numbers, strict=True):
            for distance, number in zip(*nearest, strict=True):
                if distance == torch.inf or (len(own) == count and distance >= own[-1].distance):
                    break
                label = int(classes[number])
                image = printable(Path(batch[number // patches_of_image]["file_name"]).stem)
                caption = f"{distance:.4g}, {names.get(label, f'label {label}')}, {image}"
                jpeg = encode(_shrunk(reader.picture(images, number)), quality=85)
                own.append(SourcePatch(distance, caption, jpeg))
                own.sort(key=lambda patch: patch.distance)  # stable
                del own[count:]
    return found


def project(points: Tensor, *, method: str = "pca") -> tuple[np.ndarray, tuple[str, str]] | None:
    """Styles in a plane, (S, 2), and what its axes are; the same styles always give the same plane.

    Args:
        points: (S, D), see `style_points`.
        method: "pca" keeps distances as far as a plane can; "tsne", for which scikit-learn has to
            be installed, keeps neighbourhoods.

    Returns:
        None for fewer than three styles, and for styles that are all alike.
    """
    if len(points) < 3 or bool((points == points[:1]).all()):
        return None
    if method == "tsne":
        from sklearn.manifold import TSNE

        perplexity = min(30.0, (len(points) - 1) / 3)
        model = TSNE(perplexity=perplexity, init="pca", random_state=0)
        return model.fit_transform(points.double().numpy()), ("t-SNE 1", "t-SNE 2")
    centred = points.double() - points.double().mean(dim=0)
    _, singular, directions = torch.linalg.svd(centred, full_matrices=False)
    # The sign is arbitrary: the largest entry becomes positive.
    largest = directions.abs().argmax(dim=1, keepdim=True)
    directions = directions * directions.gather(1, largest).sign()
    shares: list[float] = (100 * singular.square() / singular.square().sum()).tolist()
    first, second, *_ = [*shares, 0.0]
    plane = centred @ directions[:2].T
    return torch.nn.functional.pad(plane, (0, 2 - plane.shape[1])).numpy(), (
        f"component 1: {first:.0f} % of variance",
        f"component 2: {second:.0f} % of variance",
    )


def write_style_report(
    bank: StyleBank,
    folder: Path,
    *,
    name: str,
    palette: Palette,
    projection: str,
    nearest: Mapping[int, Sequence[SourcePatch]] | None = None,
    own_class: bool = True,
) -> Path:
    """Write a self-contained HTML page about a bank, and its figures as PNG files.

    Args:
        bank: on the CPU.
        folder: made if need be; files of an earlier report are replaced or removed.
        name: of the bank, for the title.
        palette: of the classes.
        projection: one of `METHODS`.
        nearest: of `nearest_patches`, by row of the bank.
        own_class: whether these were looked for among patches of the style's class alone.

    Returns:
        The page's file.
    """
    if not len(bank):
        raise StyleBankError(
            f"the style bank '{name}' holds no style, there is nothing to show; mine one with "
            "tools/mine_styles.py"
        )
    header, rows, colors = bank.header, style_rows(bank), class_colors(bank.header, palette)
    counts = counts_figure(rows, colors)
    cosines = cosine_figure(rows) if rows["gain"].notna().any() else None
    planes = projection_figures(bank, rows, colors, method=projection)
    prompts = prompt_table(rows)
    nearest = nearest or {}
    shown = list(nearest)[: max(1, _MOST_PICTURES // max([1, *map(len, nearest.values())]))]
    html = render(
        "styles.html.j2",
        title=f"Style bank {name}",
        lead=f"{len(bank)} styles of {header.layer} of {header.clip_name}, from {header.source}.",
        origin=_origin(header),
        counts=counts,
        prompts=prompts[:_MOST_ROWS],
        prompts_left=max(0, len(prompts) - _MOST_ROWS),
        cosines=cosines,
        cosine_means=cosine_table(rows, colors),
        projections=(pictures := {name: png(figure) for name, figure in planes.items()}),
        nearest=[{"title": _title(bank, row), "patches": nearest[row]} for row in shown],
        styles_left=len(nearest) - len(shown),
        own_class=own_class,
    )
    files = {
        "counts.png": png(counts),
        "cosines.png": png(cosines) if cosines else None,
        "projection_by_class.png": pictures.get("by class"),
        "projection_by_prompt.png": pictures.get("by style prompt"),
        PAGE: html,
    }
    for file, content in files.items():
        if content is None:  # there may be one of an earlier report
            (folder / file).unlink(missing_ok=True)
        else:
            write_atomically(folder / file, content)
    return folder / PAGE


def style_rows(bank: StyleBank) -> pd.DataFrame:
    """A row for each style: class, style prompt, cosines before and after mining, gain."""
    names = _names(bank.header)
    classes = [names[k] for k in bank.class_id.tolist()]
    before, after = (c.double().numpy() for c in (bank.cosine_before, bank.cosine_after))
    return pd.DataFrame(
        {
            "class": pd.Categorical(classes, categories=list(bank.header.labels)),
            "style prompt": [printable(prompt) for prompt in style_prompts(bank)],
            **dict(zip(_COSINES, (before, after, after - before), strict=True)),
        }
    )


def prompt_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Number of styles and mean cosines of each style prompt, the most frequent first."""
    groups = rows.groupby("style prompt")  # in the order of the alphabet
    table = groups[_COSINES].mean().reset_index()
    table.insert(1, "styles", groups.size().to_numpy())
    return table.sort_values("styles", ascending=False, kind="stable")


def cosine_table(rows: pd.DataFrame, colors: Colors) -> pd.DataFrame:
    """Number of styles and mean of the known cosines, by class and over all."""
    groups = [
        (parts.swatch([255 * value for value in colors[name]]) + name, group)
        for name, group in rows.groupby("class", observed=True)
    ]
    return pd.DataFrame(
        [
            {
                "class": name,
                "styles": len(group),
                **group[_COSINES].mean(),
                "unknown": int(group["gain"].isna().sum()),
            }
            for name, group in [*groups, ("all", rows)]
        ],
        dtype=object,  # pandas would take the markup for text
    )


def class_colors(header: BankHeader, palette: Palette) -> Colors:
    """Of every class of a bank, "ignore" included."""
    known = dict(zip(palette.names, palette.colors, strict=True))
    colors = {}
    for k, name in enumerate(header.class_names):
        other = colorsys.hls_to_rgb(_TURN * k % 1, 0.5, 0.8)
        red, green, blue = (part / 255 for part in known[name]) if name in known else other
        colors[name] = (red, green, blue)
    return colors | {IGNORE: (0.75, 0.75, 0.75)}


def counts_figure(rows: pd.DataFrame, colors: Colors) -> Figure:
    """Bars of the number of styles by class."""
    counts = rows["class"].value_counts(sort=False)
    figure, axes = _horizontal([plain(name) for name in counts.index], xlabel="styles")
    fill = [colors[name] for name in counts.index]
    # The outline shows bars whose colour is the page's.
    bars = axes.barh(range(len(counts)), counts, color=fill, edgecolor=OTHER, linewidth=0.5)
    axes.bar_label(bars, padding=2, fontsize="small")
    axes.locator_params(axis="x", integer=True)
    return figure


def cosine_figure(rows: pd.DataFrame) -> Figure:
    """Cosines of every style before and after mining, and their means, by class and over all."""
    groups = [("all", rows), *rows.groupby("class", observed=True)]
    figure, axes = _horizontal([plain(name) for name, _ in groups], xlabel="cosine")
    for column, color, shift in ((_COSINES[0], OTHER, -0.17), (_COSINES[1], DISTINCT[5], 0.17)):
        means = [group[column].mean() for _, group in groups]
        axes.plot(means, np.arange(len(groups)) + shift, "o", color=color, label=column)
        for place, (_, group) in enumerate(groups):
            heights = [place + shift] * len(group)
            axes.plot(group[column], heights, "|", color=color, alpha=0.4, rasterized=True)
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    return figure


def _horizontal(names: Sequence[str], *, xlabel: str) -> tuple[Figure, Axes]:
    """A figure with a line for each name, the first at the top."""
    figure = Figure(figsize=(7, 0.3 * len(names) + 1.3), layout="constrained")
    axes = figure.subplots()
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel=xlabel, ylim=(len(names) - 0.5, -0.5))
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def projection_figures(
    bank: StyleBank, rows: pd.DataFrame, colors: Colors, *, method: str
) -> dict[str, Figure]:
    """The styles in their plane, coloured by class and by style prompt; none for too few styles."""
    projected = project(style_points(bank.mean, bank.std), method=method)
    if projected is None:
        return {}
    plane, labels = projected
    frequent = rows["style prompt"].value_counts().index[: len(DISTINCT)]
    prompts = rows["style prompt"].where(rows["style prompt"].isin(frequent), _REST)
    of_prompts = {_REST: OTHER, **dict(zip(frequent, DISTINCT, strict=False))}
    size = 24.0 * min(1.0, max(0.2, 500 / len(rows)))  # area of a marker
    figures = {}
    for heading, groups, fill in (
        ("by class", rows["class"].astype(object), colors),
        ("by style prompt", prompts, of_prompts),
    ):
        figure = Figure(figsize=(6, 6.8), layout="constrained")
        axes = figure.subplots()
        present = set(groups)
        for k, (group, color) in enumerate((g, c) for g, c in fill.items() if g in present):
            own = plane[(groups == group).to_numpy()]
            # Behind the number: matplotlib hides labels that begin with an underscore.
            label = f"{len(own)} {plain(group)}"
            axes.scatter(
                own[:, 0],
                own[:, 1],
                label=label,
                marker=_MARKERS[k % len(_MARKERS)],
                s=size,
                color=[color],
                edgecolors="white",
                linewidths=size / 60,
            )
        axes.set(title=heading, xlabel=labels[0], ylabel=labels[1])
        axes.spines[["top", "right"]].set_visible(False)
        figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize="small")
        figures[heading] = figure
    return figures


def _names(header: BankHeader) -> dict[int, str]:
    return {k: name for name, k in header.labels.items()}


def _without(name: str, text: str) -> str:
    """A text without the name of a class in it."""
    if not text.strip():
        return "(unknown)"  # of imported banks
    # The last one: in "Silk Road style road" the class stands at the end, as in most templates.
    found = list(re.finditer(rf"(?<!\w){re.escape(name)}(?!\w)", text, re.IGNORECASE))
    if not found:
        return text
    start, end = found[-1].span()
    return " ".join((text[:start] + text[end:]).split()) or "(class name alone)"


def _title(bank: StyleBank, row: int) -> str:
    name = _names(bank.header)[int(bank.class_id[row])]
    text = f"'{bank.prompts[row]}'" if bank.prompts[row].strip() else "unknown text"
    before, after = float(bank.cosine_before[row]), float(bank.cosine_after[row])
    cosines = "" if np.isnan(after - before) else f", cosine {before:.3f} to {after:.3f}"
    return f"{name}, style {row}: {text}{cosines}"


def _origin(header: BankHeader) -> dict[str, object]:
    facts: dict[str, object] = {
        "CLIP": f"{header.clip_name}, weights {header.clip_fingerprint}",
        "layer": f"{header.layer}, {header.channels} channels",
        "patches": f"{header.grid[0]} x {header.grid[1]} of an image",
        "source": header.source,
        "seed": "several or unknown" if header.seed is None else header.seed,
        "created by": header.created_by,
    }
    for key, value in header.settings.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        facts[f"setting {key}"] = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
    return facts


def _shrunk(picture: Image) -> Image:
    """A picture whose sides have no more than `_SIDE` pixels."""
    height, width = picture.shape[:2]
    scale = min(1.0, _SIDE / max(height, width))
    size = max(1, round(scale * width)), max(1, round(scale * height))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)

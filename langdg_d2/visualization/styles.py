"""Report of a style bank: counts, cosines, a projection, and the nearest source patches.

A style is a mean and a standard deviation per channel, so it is a point (mean, std) in twice as
many dimensions as there are channels. The distance of two points,

    sqrt(|mean_a - mean_b|^2 + |std_a - std_b|^2),

is the root mean square difference per pixel between the same content restyled with both, before
ReLU and summed over channels. If no std is negative, it is also the 2-Wasserstein (Frechet)
distance of the two diagonal Gaussians (Dowson and Landau, The Frechet distance between multivariate
normal distributions, Journal of Multivariate Analysis 12, 1982).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from ..modeling import Backbone, PixelNormalization
from ..structures import PatchGrid, classes_named, patch_stats
from ..styles import BankHeader, StyleBank, StyleBankError
from ..styles.bank import IGNORE
from ..utils.file_io import write_atomically
from .figures import DISTINCT, OTHER, plain
from .page import png, render
from .palettes import palette_named
from .sem_seg import Image, encode, shrunk

PAGE = "styles.html"
PICTURES = {
    "by class": "projection_by_class.png",
    "by style prompt": "projection_by_prompt.png",
}
_COSINES = ["cosine before", "cosine after"]
_PATCH_SIDE = 160  # maximum side of a patch's picture in pixels
_MARKERS = "os^Dv<>Xph*P"  # distinguish classes of similar colours
_REST = "(others)"
_WHOLE = PatchGrid(1, 1)

Colors = Mapping[str, tuple[float, float, float]]  # RGB in 0..1 by class name


class SourcePatch(NamedTuple):
    """A patch of a source image.

    Attributes:
        distance: distance of its own style to the style it was found for.
        caption: distance and name of the image.
        jpeg: picture, as the content of a JPEG file.
    """

    distance: float
    caption: str
    jpeg: bytes


class PatchReader:
    """Computes patches of images and their own styles, as in mining.

    Args:
        backbone: computes the features that are restyled.
        grid: grid of patches.
        normalize: normalisation of the images, as in mining.
        device: device of the backbone.
    """

    def __init__(
        self,
        *,
        backbone: Backbone,
        grid: PatchGrid,
        normalize: PixelNormalization,
        device: str,
    ) -> None:
        # The memory format of mining, because another order of sums changes the last digits.
        self._backbone = backbone.eval().to(device, memory_format=torch.channels_last)
        self._grid = grid
        self._normalize = normalize.to(device)

    @torch.no_grad()
    def points(self, images: Tensor) -> Tensor:
        """Compute the style points (N * patches, 2C) of images (N, 3, H, W) in 0..255."""
        features = self._backbone.forward_low(self._normalize(images))[self._backbone.restyled]
        patches = self._grid.split(features)
        # As in mining, all patches have the size of the smallest one.
        height = min(patch.shape[-2] for patch in patches)
        width = min(patch.shape[-1] for patch in patches)
        equal = torch.stack([patch[..., :height, :width] for patch in patches], dim=1)
        own = patch_stats(equal.flatten(0, 1), _WHOLE)
        return style_points(own.mean.flatten(1), own.std.flatten(1))

    def classes(self, labels: Tensor) -> Tensor:
        """Find the most frequent labels (N * patches,) of label maps (N, H, W) uint8."""
        return self._grid.majority(labels).flatten()

    def picture(self, images: Sequence[Tensor], number: int) -> Image:
        """Return the pixels (h, w, 3) of a patch, numbered image by image, of (3, H, W) uint8."""
        image, patch = divmod(number, self._grid.rows * self._grid.cols)
        return self._grid.split(images[image])[patch].permute(1, 2, 0).numpy()


def style_points(mean: Tensor, std: Tensor) -> Tensor:
    """Concatenate mean and std (S, C) of S styles to points (S, 2C)."""
    return torch.cat([mean, std], dim=1)


def pairwise(first: Tensor, second: Tensor) -> Tensor:
    """Compute distances (S, T) between points (S, D) and (T, D)."""
    # A matrix product would be faster, but is inaccurate for small distances.
    return torch.cdist(first, second, compute_mode="donot_use_mm_for_euclid_dist")


def style_prompts(bank: StyleBank) -> list[str]:
    """Return the style prompt of each style, its prompt without the class name.

    Prompts without the class name do not change.
    """
    names = _names(bank.header)
    return [
        _without(names[k], text)
        for k, text in zip(bank.class_id.tolist(), bank.prompts, strict=True)
    ]


def typical_styles(bank: StyleBank) -> list[int]:
    """Return, for each class, the row of the style that is nearest to the mean of the class."""
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
) -> dict[int, list[SourcePatch]]:
    """Find the source patches of a style's class whose own statistics are nearest to the style.

    Only one batch and the selected pictures are kept in memory. Of patches at the same distance,
    the earlier one comes first.

    Args:
        bank: bank mined with the reader's backbone and grid.
        batches: dicts with "image" (3, H, W) uint8 RGB, "sem_seg" (H, W) uint8 train ids and
            "file_name"; the images of a batch have the same size.
        rows: rows of styles in the bank.
        reader: computes the patches of images.
        count: maximum number of patches per style.

    Returns:
        Patches by row, the nearest first.
    """
    styles, class_id = style_points(bank.mean, bank.std)[list(rows)], bank.class_id[list(rows)]
    found: dict[int, list[SourcePatch]] = {row: [] for row in rows}
    for batch in batches:
        images = [example["image"] for example in batch]
        points = reader.points(torch.stack(images))
        classes = reader.classes(torch.stack([example["sem_seg"] for example in batch]))
        distances = pairwise(styles.to(points), points).cpu()
        distances[class_id[:, None] != classes] = torch.inf
        patches_of_image = len(classes) // len(batch)
        values, numbers = (x[:, :count].tolist() for x in distances.sort(dim=1, stable=True))
        for own, *nearest in zip(found.values(), values, numbers, strict=True):
            for distance, number in zip(*nearest, strict=True):
                if distance == torch.inf or (len(own) == count and distance >= own[-1].distance):
                    break
                image = Path(batch[number // patches_of_image]["file_name"]).stem
                jpeg = encode(shrunk(reader.picture(images, number), _PATCH_SIDE), quality=85)
                own.append(SourcePatch(distance, f"{distance:.4g}, {image}", jpeg))
                own.sort(key=lambda patch: patch.distance)  # stable
                del own[count:]
    return found


def project(points: Tensor) -> tuple[np.ndarray, tuple[str, str]] | None:
    """Project styles to their two principal components; also return titles of the axes.

    Args:
        points: (S, D), see `style_points`.

    Returns:
        (S, 2), deterministic; None for fewer than three styles, and for identical styles.
    """
    if len(points) < 3 or bool((points == points[:1]).all()):
        return None
    centred = points.double() - points.double().mean(dim=0)
    _, singular, directions = torch.linalg.svd(centred, full_matrices=False)
    # The sign is arbitrary, so make the largest entry positive.
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
    palette: str,
    nearest: Mapping[int, Sequence[SourcePatch]] | None = None,
) -> Path:
    """Write a self-contained HTML page about a bank, and its projections as PNG files.

    Args:
        bank: bank on the CPU.
        folder: output folder; files of an earlier report are replaced or removed.
        name: name of the bank, for the title.
        palette: name of the palette of classes, see `palette_named`.
        nearest: result of `nearest_patches`, by row of the bank.

    Returns:
        Path of the page.
    """
    if not len(bank):
        raise StyleBankError(
            f"the style bank '{name}' contains no styles; mine some with tools/mine_styles.py"
        )
    rows, colors = style_rows(bank), class_colors(bank.header, palette)
    planes = projection_figures(bank, rows, colors)
    pictures = {heading: png(figure) for heading, figure in planes.items()}
    html = render(
        "styles.html.j2",
        title=f"Style bank {name}",
        lead=f"{len(bank)} styles of {bank.header.layer}. {bank.header.describe()}",
        table=bank.table(),
        cosines=cosine_figure(rows) if rows[_COSINES].notna().all(axis=1).any() else None,
        projections=pictures,
        nearest={_title(bank, row): patches for row, patches in (nearest or {}).items()},
    )
    for heading, file in PICTURES.items():
        if heading in pictures:
            write_atomically(folder / file, pictures[heading])
        else:  # there may be a file of an earlier report
            (folder / file).unlink(missing_ok=True)
    write_atomically(folder / PAGE, html)
    return folder / PAGE


def style_rows(bank: StyleBank) -> pd.DataFrame:
    """Create a table with class, style prompt, and cosines before and after mining, per style."""
    names = _names(bank.header)
    classes = [names[k] for k in bank.class_id.tolist()]
    return pd.DataFrame(
        {
            "class": pd.Categorical(classes, categories=list(bank.header.labels)),
            "style prompt": style_prompts(bank),
            "cosine before": bank.cosine_before.double().numpy(),
            "cosine after": bank.cosine_after.double().numpy(),
        }
    )


def class_colors(header: BankHeader, palette: str) -> Colors:
    """Return the colours of all classes of a bank, including "ignore"."""
    known = palette_named(palette, classes_named(header.class_names))
    return {
        name: (red / 255, green / 255, blue / 255)
        for name, (red, green, blue) in zip(known.names, known.colors, strict=True)
    } | {IGNORE: (0.75, 0.75, 0.75)}


def cosine_figure(rows: pd.DataFrame) -> Figure:
    """Plot the cosines of all styles before and after mining, and their means, by class."""
    groups = [("all", rows), *rows.groupby("class", observed=True)]
    figure = Figure(figsize=(7, 0.3 * len(groups) + 1.3), layout="constrained")
    axes = figure.subplots()
    for column, color, shift in zip(_COSINES, (OTHER, DISTINCT[5]), (-0.17, 0.17), strict=True):
        means = [group[column].mean() for _, group in groups]
        axes.plot(means, np.arange(len(groups)) + shift, "o", color=color, label=column)
        for place, (_, group) in enumerate(groups):
            heights = [place + shift] * len(group)
            axes.plot(group[column], heights, "|", color=color, alpha=0.4, rasterized=True)
    axes.set_yticks(range(len(groups)), [plain(name) for name, _ in groups])
    axes.set(xlabel="cosine", ylim=(len(groups) - 0.5, -0.5))  # the first at the top
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    return figure


def projection_figures(bank: StyleBank, rows: pd.DataFrame, colors: Colors) -> dict[str, Figure]:
    """Plot the projection, coloured by class and by style prompt; empty for too few styles."""
    projected = project(style_points(bank.mean, bank.std))
    if projected is None:
        return {}
    plane, (xlabel, ylabel) = projected
    frequent = rows["style prompt"].value_counts().index[: len(DISTINCT)]
    prompts = rows["style prompt"].where(rows["style prompt"].isin(frequent), _REST)
    of_prompts = {_REST: OTHER, **dict(zip(frequent, DISTINCT, strict=False))}
    size = 24.0 * min(1.0, max(0.2, 500 / len(rows)))  # area of a marker, smaller for many styles
    figures = {}
    coloured = (rows["class"].astype(object), colors), (prompts, of_prompts)
    for heading, (groups, fill) in zip(PICTURES, coloured, strict=True):
        figure = Figure(figsize=(6, 6.8), layout="constrained")
        axes = figure.subplots()
        present = [group for group in fill if (groups == group).any()]
        for k, group in enumerate(present):
            x, y = plane[(groups == group).to_numpy()].T
            axes.scatter(
                *(x, y),
                label=f"{len(x)} {plain(group)}",  # matplotlib hides labels that begin with "_"
                marker=_MARKERS[k % len(_MARKERS)],
                s=size,
                color=[fill[group]],
                edgecolors="white",
                linewidths=size / 60,
            )
        axes.set(title=heading, xlabel=xlabel, ylabel=ylabel)
        axes.spines[["top", "right"]].set_visible(False)
        figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize="small")
        figures[heading] = figure
    return figures


def _names(header: BankHeader) -> dict[int, str]:
    return {k: name for name, k in header.labels.items()}


def _without(name: str, text: str) -> str:
    """Remove the name of a class from a text."""
    if not text.strip():
        return "(unknown)"  # of imported banks
    # The last occurrence, as most templates end with the class: "Silk Road style road".
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

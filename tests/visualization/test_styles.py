"""What the page of a style bank shows, against closed forms and a search through all patches."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from langdg_d2.modeling import ClipResNet, PixelNormalization
from langdg_d2.structures import CITYSCAPES_19, ChannelStats, PatchGrid, restyle
from langdg_d2.styles import BankHeader, StyleBank, StyleBankError
from langdg_d2.visualization.styles import (
    PatchReader,
    SourcePatch,
    class_colors,
    nearest_patches,
    pairwise,
    project,
    style_points,
    style_prompts,
    typical_styles,
    write_style_report,
)

CLASSES = ("road", "traffic light", "sky")
HOSTILE = "$\\frac</svg><script>alert(1)</script>\ud800\x00\n_" + "x" * 100
UNKNOWN = (math.nan, math.nan)


def make_bank(
    class_ids: Sequence[int],
    prompts: Sequence[str],
    *,
    cosines: Sequence[tuple[float, float]] | None = None,
    points: Sequence[Sequence[float]] | torch.Tensor | None = None,
    **header: Any,
) -> StyleBank:
    """A bank of class ids and texts; its statistics are random, but seeded."""
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(len(prompts), 6, generator=generator)
    mean, std = (drawn if points is None else torch.as_tensor(points)).float().chunk(2, dim=1)
    known = [UNKNOWN] * len(prompts) if cosines is None else cosines
    both = torch.tensor(known, dtype=torch.float32).reshape(-1, 2)
    fields = {
        "clip_name": "tiny",
        "clip_fingerprint": "0123456789abcdef",
        "layer": "layer1",
        "channels": mean.shape[1],
        "grid": (3, 3),
        "class_names": CLASSES,
        "ignore_label": 255,
        "source": "gta5",
        "seed": 1,
    }
    return StyleBank(
        header=BankHeader(**fields | header),
        mean=mean,
        std=std,
        class_id=torch.tensor(class_ids, dtype=torch.uint8),
        prompts=prompts,
        cosine_before=both[:, 0],
        cosine_after=both[:, 1],
    )


def test_typical_styles_lie_nearest_to_the_mean_of_their_class():
    points = [[0.0, 1.0], [2.0, 1.0], [1.0, 4.0], [1.0, 4.0], [9.0, 9.0]]
    bank = make_bank([0, 0, 255, 255, 255], ["a"] * 5, points=points)
    assert typical_styles(bank) == [0, 2]  # of equally near ones the first


def test_a_distance_is_the_frechet_distance_of_gaussians():
    mean, std = torch.randn(2, 5).double(), torch.rand(2, 5).double()
    points = style_points(mean, std)
    covariances = [torch.diag(row.square()) for row in std]
    product = torch.from_numpy(sqrtm((covariances[0] @ covariances[1]).numpy()).real)
    trace = sum(c.trace() for c in covariances) - 2 * product.trace()
    frechet = ((mean[0] - mean[1]).square().sum() + trace).sqrt()
    torch.testing.assert_close(pairwise(points[:1], points[1:])[0, 0], frechet)


def test_a_distance_is_the_difference_that_restyling_makes():
    """Root mean square over the pixels; with means that keep ReLU away."""
    content = torch.randn(1, 4, 60, 60).double()
    mean, std = 50 + torch.randn(2, 4).double(), torch.randn(2, 4).double()
    own = ChannelStats(
        content.mean(dim=(2, 3), keepdim=True),
        content.var(dim=(2, 3), unbiased=False, keepdim=True).sqrt(),
    )
    targets = [
        ChannelStats(m.view(1, -1, 1, 1), s.view(1, -1, 1, 1))
        for m, s in zip(mean, std, strict=True)
    ]
    first, second = (restyle(content, own=own, target=t, grid=PatchGrid(1, 1)) for t in targets)
    difference = (first - second).square().sum(dim=1).mean().sqrt()
    points = style_points(mean, std)
    torch.testing.assert_close(pairwise(points[:1], points[1:])[0, 0], difference)


def test_small_distances_keep_their_digits():
    points = torch.full((40, 30), 1e3)
    near = points.clone()
    near[:, 0] += 0.25
    assert torch.equal(pairwise(points, near), torch.full((40, 40), 0.25))


def test_a_style_prompt_is_the_text_without_the_name_of_its_class():
    texts = {
        "Silk Road style road": "Silk Road style",  # the last mention
        "a photo of a road at night": "a photo of a at night",
        "ROAD": "(class name alone)",
        "Noir style broadway": "Noir style broadway",
        "": "(unknown)",
        " ": "(unknown)",
    }
    assert style_prompts(make_bank([0] * len(texts), list(texts))) == list(texts.values())
    bank = make_bank([1, 255, 255], ["Noir  traffic light", "photo", "ignore"])
    assert style_prompts(bank) == ["Noir", "photo", "(class name alone)"]


def test_every_class_has_a_colour_of_its_own():
    header = make_bank([0], ["a"], class_names=("x", "sky", "y")).header
    colors = class_colors(header, "classes")
    assert list(colors) == ["x", "sky", "y", "ignore"]
    assert len(set(colors.values())) == 4
    header = make_bank([0], ["a"], class_names=CITYSCAPES_19.names).header
    assert class_colors(header, "classes")["sky"] == (70 / 255, 130 / 255, 180 / 255)


def test_principal_components_are_those_of_numpys_svd_up_to_sign():
    points = torch.randn(20, 7) * torch.arange(1, 8)
    plane, axes = project(points)
    centred = points.double().numpy() - points.double().numpy().mean(axis=0)
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    expected = left[:, :2] * singular[:2]
    for own, theirs in zip(plane.T, expected.T, strict=True):
        assert np.allclose(own, np.sign(own @ theirs) * theirs)
    shares = 100 * singular**2 / (singular**2).sum()
    assert axes == (
        f"component 1: {shares[0]:.0f} % of variance",
        f"component 2: {shares[1]:.0f} % of variance",
    )


def test_the_sign_of_a_component_is_that_of_its_largest_entry():
    points = torch.tensor([[0.0, 0.0], [-3.0, 1.0], [-6.0, 2.0]])
    plane, _ = project(points)
    assert plane[:, 0].tolist() == sorted(plane[:, 0].tolist(), reverse=True)
    assert np.array_equal(project(points)[0], plane)


def test_styles_on_a_line_have_no_second_component():
    plane, axes = project(torch.arange(5.0)[:, None])
    assert plane[:, 0].tolist() == pytest.approx([-2, -1, 0, 1, 2])
    assert plane[:, 1].tolist() == [0.0] * 5
    assert axes[1] == "component 2: 0 % of variance"


@pytest.mark.parametrize("points", [torch.randn(1, 3), torch.randn(2, 3), torch.ones(4, 3)])
def test_too_few_or_equal_styles_have_no_plane(points):
    assert project(points) is None


SIZE = (44, 60)  # features of 11 x 15, which two rows do not divide
GRID = PatchGrid(2, 3)
PATCHES = 6


@pytest.fixture
def backbone(tiny_tower):
    return ClipResNet(tower=tiny_tower.eval(), output_stride=16, trainable=())


@pytest.fixture
def reader(backbone):
    normalize = PixelNormalization(mean=(120.0, 110.0, 100.0), std=(60.0, 60.0, 60.0))
    return PatchReader(backbone=backbone, grid=GRID, normalize=normalize, device="cpu")


def batches(count=3, images=2):
    """Images of several contrasts, labels in blocks of a patch each."""
    result = []
    for number in range(count * images):
        values = torch.randn(3, *SIZE) * (10 + 10 * number) + 128
        blocks = torch.randint(0, 3, (1, 1, 2, 3)).float()
        labels = torch.nn.functional.interpolate(blocks, size=SIZE)[0, 0].byte()
        image = values.clamp(0, 255).byte()
        result.append({"image": image, "sem_seg": labels, "file_name": f"/data/{number}.png"})
    return [result[k : k + images] for k in range(0, len(result), images)]


def every_patch(backbone, examples):
    """Statistics, class, image and pixels of all patches, by loops."""
    patches = []
    for example in examples:
        image = example["image"].float()
        pixels = (image - torch.tensor([120.0, 110, 100])[:, None, None]) / 60
        with torch.no_grad():
            features = backbone.forward_low(pixels[None])["res2"][0]
        for row in range(2):
            for col in range(3):
                # Rows of 5 and 6, of which mining uses 5.
                patch = features[:, [0, 5][row] : [5, 10][row], 5 * col : 5 * col + 5].flatten(1)
                point = torch.cat([patch.mean(dim=1), (patch.var(dim=1) + 1e-5).sqrt()])
                here = np.s_[..., 22 * row : 22 * row + 22, 20 * col : 20 * col + 20]
                label = int(example["sem_seg"][here].flatten().mode().values)
                patches.append((point, label, Path(example["file_name"]).stem, image[here]))
    return patches


def test_streaming_finds_what_a_search_through_all_patches_finds(backbone, reader):
    given = batches()
    patches = every_patch(backbone, [example for batch in given for example in batch])
    styles = torch.stack([patches[5][0], patches[20][0] + 0.1, torch.zeros(32)])
    bank = make_bank([0, 1, 2], ["a", "b", "c"], points=styles)
    found = nearest_patches(bank, given, rows=[2, 0, 1], reader=reader, count=4)
    assert list(found) == [2, 0, 1]
    for row, nearest in found.items():
        ordered = sorted(
            (float((styles[row] - point).norm()), number)
            for number, (point, label, _, _) in enumerate(patches)
            if label == row
        )
        assert len(nearest) == min(4, len(ordered))
        for patch, (distance, number) in zip(nearest, ordered, strict=False):
            _, _, name, pixels = patches[number]
            assert patch.distance == pytest.approx(distance, rel=1e-4, abs=1e-4)
            assert patch.caption.split(", ")[1:] == [name]
            picture = cv2.imdecode(np.frombuffer(patch.jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
            assert picture.shape == (22, 20, 3)
            close = cv2.blur(picture, (9, 9)).astype(float)
            assert np.allclose(
                close, cv2.blur(pixels.permute(1, 2, 0).byte().numpy(), (9, 9)), atol=25
            )


def test_of_equal_patches_the_earlier_ones_are_kept(reader):
    (example, *_), *_ = batches()
    road = example | {"sem_seg": torch.zeros(SIZE, dtype=torch.uint8)}
    given = [[road | {"file_name": f"{number}.png"}] for number in range(3)]
    bank = make_bank([0], ["a"], points=torch.zeros(1, 32))
    options = {"rows": [0], "reader": reader, "count": PATCHES + 1}
    nearest = nearest_patches(bank, given, **options)[0]
    names = [patch.caption.rpartition(" ")[2] for patch in nearest]
    # Every patch is there three times, the first image's before the second's.
    assert names == ["0", "1", "2", "0", "1", "2", "0"]


def test_a_class_without_patches_has_no_nearest_ones(reader):
    (example, *_), *_ = batches()
    unlabelled = example | {"sem_seg": torch.full(SIZE, 255, dtype=torch.uint8)}
    bank = make_bank([255, 0], ["a", "b"], points=torch.zeros(2, 32))
    options = {"rows": [0, 1], "reader": reader, "count": 9}
    found = nearest_patches(bank, [[unlabelled]], **options)
    assert len(found[0]) == PATCHES
    assert found[1] == []


def test_large_patches_are_shown_small(reader):
    image = torch.zeros(3, 700, 960, dtype=torch.uint8)
    example = {"image": image, "sem_seg": image[0], "file_name": "a.png"}
    bank = make_bank([0], ["a"], points=torch.zeros(1, 32))
    options = {"rows": [0], "reader": reader, "count": 1}
    (patch,) = nearest_patches(bank, [[example]], **options)[0]
    picture = cv2.imdecode(np.frombuffer(patch.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert max(picture.shape) == 160


@pytest.fixture
def write(tmp_path) -> Callable[..., tuple[str, list[str]]]:
    """Function that writes the report of a bank; gives the page and the names of all files."""

    def report(bank, **options):
        page = write_style_report(
            bank,
            tmp_path / "new/report",
            name="my <bank>",
            palette="classes",
            **options,
        )
        return page.read_text(), sorted(path.name for path in page.parent.iterdir())

    return report


@pytest.fixture(scope="module")
def patch():
    _, jpeg = cv2.imencode(".jpg", np.zeros((9, 9, 3), np.uint8))
    return SourcePatch(1.5, f"1.5, sky, {HOSTILE}", jpeg.tobytes())


def test_a_bank_of_one_style_without_cosines_has_a_page_that_says_what_is_missing(write):
    text, files = write(make_bank([1], [""]))
    assert write(make_bank([1], [""])) == (text, files)
    assert files == ["styles.html"]
    assert "A projection needs at least three styles" in text
    assert "The bank has no cosines" in text
    assert "my &lt;bank&gt;" in text
    assert "1 styles of layer1. Mined from gta5 with CLIP tiny" in text


ALL_FILES = [
    "projection_by_class.png",
    "projection_by_prompt.png",
    "styles.html",
]


def test_foreign_texts_are_neither_markup_nor_formulas(write, patch):
    bank = make_bank(
        [0, 1, 2, 255],
        [f"{HOSTILE} <b>", "_hidden sky", "ok sky", HOSTILE],
        cosines=[(0.1, 0.2), (0.0, math.nan), (-0.1, 0.3), UNKNOWN],
        class_names=("<b>", "a$b$c", "sky"),
        source=HOSTILE,
        settings={HOSTILE: [HOSTILE]},
    )
    text, files = write(bank, nearest={row: [patch] for row in range(4)})
    assert files == ALL_FILES
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "<b>" not in text
    assert len(text) < 1_000_000


def test_pictures_of_an_earlier_report_alone_are_removed(write, tmp_path):
    _, files = write(make_bank([0, 1, 2], ["a", "b", "c"], cosines=[(0.1, 0.2)] * 3))
    assert files == ALL_FILES
    (tmp_path / "new/report/mine.png").write_bytes(b"not of a report")
    assert write(make_bank([1], [""]))[1] == ["mine.png", "styles.html"]


def test_an_empty_bank_is_refused_by_name(write, tmp_path):
    with pytest.raises(StyleBankError, match="'my <bank>' contains no style"):
        write(make_bank([], []))
    assert not list(tmp_path.iterdir())

"""Graphs compute what evaluation does; comparisons find every difference before files get names."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from torch import Tensor

from langdg_d2.export import (
    Export,
    ExportedSegmentor,
    Parity,
    SegmentorGraph,
    describe,
    export_segmentor,
    measure_parity,
    parity_table,
    publish,
    random_images,
    smallest_side,
)
from langdg_d2.modeling import LangDGSegmentor, LinearHead, PixelCrossEntropy, VitTower
from langdg_d2.structures import LabelSpace
from langdg_d2.utils.errors import LangDGError

SIZE = (33, 40)


@pytest.fixture(scope="module")
def model(
    random_segmentor: Callable[[list[str]], LangDGSegmentor], tiny_model: list[str]
) -> LangDGSegmentor:
    """Of the tiny CLIP."""
    torch.manual_seed(0)
    return random_segmentor(tiny_model)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (2, 3, 45, 70), dtype=torch.uint8, generator=generator)


def test_logits_of_a_batch_are_those_that_evaluation_gives_each_image(
    model: LangDGSegmentor, images: torch.Tensor
) -> None:
    with torch.no_grad():
        logits = SegmentorGraph(model=model)(images)
    for image, given in zip(images, logits, strict=True):
        torch.testing.assert_close(given, model([{"image": image}])[0]["sem_seg"])


def test_classes_are_those_of_the_largest_logits(
    model: LangDGSegmentor, images: torch.Tensor
) -> None:
    with torch.no_grad():
        classes = SegmentorGraph(model=model, result="classes")(images)
        logits = SegmentorGraph(model=model)(images)
    assert classes.dtype == torch.uint8
    assert len(classes.unique()) > 1
    assert torch.equal(classes.long(), logits.argmax(dim=1))


def test_smallest_images_have_coarsest_features_of_two_rows_and_columns(
    model: LangDGSegmentor,
) -> None:
    side = smallest_side(model)
    assert side == 32
    assert model.backbone(torch.zeros(1, 3, side, side))["res5"].shape[-2:] == (2, 2)


@pytest.fixture(scope="module")
def transformer() -> LangDGSegmentor:
    """Of a narrow vision transformer with one block and a rotary grid."""
    sizes = {"img_size": 56, "embed_dim": 16, "depth": 1, "num_heads": 1, "num_classes": 0}
    tower = timm.create_model("eva02_large_patch14_clip_336", **sizes)
    torch.manual_seed(0)
    for parameter in tower.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    backbone = VitTower(tower=tower, taps=(0,), trainable=())
    return LangDGSegmentor(
        backbone=backbone,
        sem_seg_head=LinearHead(
            input_shape=backbone.output_shape(), in_feature="res4", num_classes=3
        ),
        criterion=PixelCrossEntropy(ignore_label=255, label_smoothing=0.0),
        pixel_mean=[120.0] * 3,
        pixel_std=[60.0] * 3,
        classes=LabelSpace(["a", "b", "c"]),
    ).eval()


def test_graphs_pad_images_to_whole_patches(
    transformer: LangDGSegmentor, images: torch.Tensor
) -> None:
    with torch.no_grad():
        logits = SegmentorGraph(model=transformer)(images)
    assert logits.shape == (2, 3, 45, 70)
    for image, given in zip(images, logits, strict=True):
        torch.testing.assert_close(given, transformer([{"image": image}])[0]["sem_seg"])


@pytest.mark.parametrize("suffix", ["pt2", pytest.param("onnx", marks=pytest.mark.long)])
def test_vision_transformers_are_exported_for_images_of_any_size(
    suffix: str, transformer: LangDGSegmentor, tmp_path: Path
) -> None:
    metadata = describe(transformer, result="logits", config_file="a.py", checkpoint="b.pth")
    sizes = [(56, 56), (45, 97)]
    for export in export_segmentor(
        transformer, tmp_path / "vit", formats=[suffix], metadata=metadata, sizes=sizes
    ):
        assert all(row.holds for row in export.parity), export


def test_metadata_are_those_of_the_model(model: LangDGSegmentor) -> None:
    metadata = describe(
        model,
        result="classes",
        config_file="configs/langdg_gta5.py",
        checkpoint="runs/1/model_final.pth",
    )
    assert metadata["class_names"][:2] == ["road", "sidewalk"]
    assert metadata["class_colors"][-1] == [119, 11, 32]
    assert metadata["input"] == {
        "name": "images",
        "dtype": "uint8",
        "layout": "NCHW",
        "channels": "RGB",
        "range": [0, 255],
        "smallest_side": 32,
    }
    # CLIP's statistics, in 0..255.
    assert metadata["normalization"]["in_graph"] is True
    assert metadata["normalization"]["mean"] == pytest.approx([122.771, 116.746, 104.094], abs=1e-3)
    assert metadata["normalization"]["std"] == pytest.approx([68.501, 66.632, 70.323], abs=1e-3)
    assert metadata["output"] == {"name": "classes", "dtype": "uint8", "layout": "NHW"}
    assert (metadata["config"], metadata["checkpoint"]) == ("langdg_gta5.py", "model_final.pth")


def test_other_results_are_refused(model: LangDGSegmentor) -> None:
    with pytest.raises(LangDGError, match="result 'entropy', expected one of logits, classes"):
        SegmentorGraph(model=model, result="entropy")


@pytest.fixture
def faithful(model: LangDGSegmentor) -> Callable[[Tensor], Tensor]:
    """What a perfect file gives."""
    return lambda images: torch.stack([model([{"image": x}])[0]["sem_seg"] for x in images])


def test_a_perfect_file_differs_in_nothing(
    model: LangDGSegmentor, faithful: Callable[[Tensor], Tensor]
) -> None:
    exact = Parity(size=SIZE, difference=0.0, agreement=1.0)
    assert measure_parity(model, faithful, size=SIZE) == exact
    classes = measure_parity(model, lambda x: faithful(x).argmax(dim=1).byte(), size=SIZE)
    assert classes == Parity(size=SIZE, difference=None, agreement=1.0)


def test_difference_is_relative_to_the_largest_logit_and_the_worse_of_one_and_several(
    model: LangDGSegmentor, faithful: Callable[[Tensor], Tensor]
) -> None:
    alone, both = (faithful(random_images(2, SIZE)[:count]).abs().max() for count in (1, 2))
    shifted = measure_parity(model, lambda x: faithful(x) + 0.5, size=SIZE)
    assert shifted.difference == pytest.approx(0.5 / min(alone, both).item(), rel=1e-4)
    assert shifted.agreement == 1  # all logits moved alike


def test_a_file_that_is_wrong_for_the_second_image_only_is_found(
    model: LangDGSegmentor, faithful: Callable[[Tensor], Tensor]
) -> None:
    def first_twice(images: Tensor) -> Tensor:
        return faithful(images[:1]).repeat(len(images), 1, 1, 1)

    parity = measure_parity(model, first_twice, size=SIZE)
    assert not parity.holds
    logits = faithful(random_images(2, SIZE))
    equal = (logits[1].argmax(dim=0) == logits[0].argmax(dim=0)).double().mean().item()
    assert parity.agreement == pytest.approx((1 + equal) / 2)


def test_a_file_of_another_shape_is_refused(
    model: LangDGSegmentor, faithful: Callable[[Tensor], Tensor]
) -> None:
    with pytest.raises(LangDGError, match=r"gives \(1, 19, 32, 40\) where the model gives"):
        measure_parity(model, lambda x: faithful(x)[..., :32, :], size=SIZE)


@pytest.mark.parametrize(
    ("difference", "agreement", "good"),
    [
        (1e-5, 1.0, True),
        (None, 0.9995, True),
        (2e-4, 1.0, False),
        (1e-5, 0.99, False),
        (math.nan, 1.0, False),
        (None, math.nan, False),
    ],
)
def test_both_figures_have_bounds_and_what_is_no_number_is_beyond_them(
    difference: float | None, agreement: float, good: bool
) -> None:
    row = Parity(size=SIZE, difference=difference, agreement=agreement)
    assert row.holds is good


def test_logits_that_are_no_numbers_are_found(
    model: LangDGSegmentor, faithful: Callable[[Tensor], Tensor]
) -> None:
    def damaged(images: Tensor) -> Tensor:
        logits = faithful(images)
        logits[-1, 0, 0, 0] = math.nan if len(images) > 1 else logits[-1, 0, 0, 0]
        return logits

    assert math.isnan(measure_parity(model, damaged, size=SIZE).difference)


def file_of(path: Path, *parity: Parity) -> Export:
    """A file, not yet published."""
    unverified = path.with_name(f"{path.stem}.unverified{path.suffix}")
    segmentor = ExportedSegmentor(metadata={}, run=torch.clone)
    return Export(path=path, unverified=unverified, segmentor=segmentor, parity=parity)


def test_the_table_never_rounds_up_to_all() -> None:
    row = Parity(size=(256, 512), difference=1.234e-6, agreement=0.999999)
    exact = Parity(size=SIZE, difference=None, agreement=1.0)
    files = [file_of(Path("a.onnx"), row), file_of(Path("b.pt2"), exact)]
    *_, line, classes = parity_table(files).splitlines()
    assert [cell.strip() for cell in line.strip("|").split("|")] == [
        *("a.onnx", "256x512", "1.2e-06", "99.999 %")
    ]
    assert [cell.strip() for cell in classes.strip("|").split("|")][2:] == ["\u2013", "100.000 %"]


def test_images_are_always_the_same_and_of_many_colours() -> None:
    images = random_images(2, SIZE)
    assert (images.shape, images.dtype) == ((2, 3, *SIZE), torch.uint8)
    assert torch.equal(images, random_images(2, SIZE))
    assert not torch.equal(images[0], images[1])
    assert images.float().std() > 30


def test_files_get_their_names_together_or_not_at_all(tmp_path: Path) -> None:
    def written(name: str, *parity: Parity) -> Export:
        file = file_of(tmp_path / f"{name}.onnx", *parity)
        file.unverified.write_text("new")
        return file

    good = Parity(size=(64, 64), difference=1e-6, agreement=1.0)
    other = Parity(size=SIZE, difference=0.0, agreement=0.5)
    far = Parity(size=(97, 33), difference=3e-3, agreement=1.0)
    (tmp_path / "a.onnx").write_text("earlier")
    with pytest.raises(LangDGError, match=r"b\.unverified\.onnx' does not .* 33x40, .* 50\.000 %"):
        publish([written("a", good), written("b", good, other)])
    with pytest.raises(LangDGError, match=r"'.*a\.unverified.*97x33, 3\.0e-03.*at most 0\.0001"):
        publish([written("a", good, far), written("b", good)])
    assert (tmp_path / "a.onnx").read_text() == "earlier"
    assert not (tmp_path / "b.onnx").exists()
    publish([written("a", good), written("b", good)])
    assert (tmp_path / "a.onnx").read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.onnx", "b.onnx"]

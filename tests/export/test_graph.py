"""The graph computes what evaluation does, and its metadata are those of the model."""

import pytest
import torch

from langdg_d2.export import SegmentorGraph, describe
from langdg_d2.export.graph import smallest_side
from langdg_d2.modeling import LangDGSegmentor
from langdg_d2.utils.errors import LangDGError


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
    origin = {"config_file": "c.py", "checkpoint": "m.pth"}
    with pytest.raises(LangDGError, match="result 'entropy', expected one of logits, classes"):
        SegmentorGraph(model=model, result="entropy")
    with pytest.raises(LangDGError, match="result 'entropy', expected one of"):
        describe(model, result="entropy", **origin)

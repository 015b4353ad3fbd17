"""A predictor says what evaluation would, for images of any kind and size."""

from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from detectron2.config import LazyConfig, instantiate
from PIL import Image
from torch import Tensor, nn

from langdg_d2.data import ImageFileError
from langdg_d2.engine import RunSettings, apply_overrides
from langdg_d2.evaluation import predicted_classes
from langdg_d2.modeling.checkpoint_files import CheckpointError
from langdg_d2.structures import CITYSCAPES_19, LabelSpace
from langdg_d2.utils.errors import LangDGError
from langdg_d2.utils.provenance import plain_data
from langdg_d2.visualization import (
    Frame,
    Prediction,
    Predictor,
    draw_panels,
    model_names,
    palette_named,
    parse_with_predictors,
    predict_frames,
    predictors_of,
)

CONFIG = str(Path(__file__).parents[2] / "configs/langdg_gta5.py")


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def overrides(tiny_model: list[str]) -> list[str]:
    return [*tiny_model, "train.device=cpu"]


@pytest.fixture(scope="module")
def trained(
    overrides: list[str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[nn.Module, str]:
    """A model, ready for evaluation, and the file of its checkpoint."""
    torch.manual_seed(1)
    without_clip = [*overrides, "model.backbone.tower.weights=null"]
    model = instantiate(apply_overrides(LazyConfig.load(CONFIG), without_clip).model)
    for parameter in model.sem_seg_head.parameters():  # far from undecided
        parameter.data *= 3
    path = tmp_path_factory.mktemp("trained") / "model_final.pth"
    torch.save({"model": model.state_dict()}, path)
    return model.eval(), str(path)


@pytest.fixture(scope="module")
def predictor(trained: tuple[nn.Module, str], overrides: list[str]) -> Predictor:
    return Predictor.from_config(CONFIG, trained[1], overrides)


def assert_close(one: Prediction, other: Prediction, tolerance: float = 1e-4) -> None:
    assert np.array_equal(one.image, other.image)
    assert (one.classes == other.classes).mean() > 0.999
    assert np.abs(one.confidence - other.confidence).max() < tolerance
    assert np.abs(one.entropy - other.entropy).max() < tolerance


def test_it_predicts_what_evaluation_scores(
    trained: tuple[nn.Module, str], predictor: Predictor
) -> None:
    image = noise(40, 56)
    prediction = predictor(image)
    with torch.no_grad():
        logits = trained[0]([{"image": torch.from_numpy(image).permute(2, 0, 1)}])[0]["sem_seg"]
    probabilities = logits.softmax(dim=0)
    assert np.array_equal(prediction.classes, predicted_classes(logits).numpy())
    assert len(np.unique(prediction.classes)) > 1
    assert np.allclose(prediction.confidence, probabilities.amax(dim=0), atol=1e-5)
    entropy = -(probabilities * probabilities.log()).sum(dim=0) / np.log(19)
    assert np.allclose(prediction.entropy, entropy, atol=1e-5)


def test_images_of_several_sizes_at_once_are_predicted_as_one_by_one(predictor: Predictor) -> None:
    images = [noise(40, 56), noise(33, 70), noise(40, 56, seed=1), noise(64, 32), noise(33, 70, 2)]
    together = predictor(images)
    assert len(together) == len(images)
    for image, prediction in zip(images, together, strict=True):
        assert_close(prediction, predictor(image))
    assert predictor([]) == []


def test_files_and_arrays_are_predicted_alike(predictor: Predictor, tmp_path: Path) -> None:
    image = noise(40, 56)
    Image.fromarray(image).save(tmp_path / "a.png")
    from_path, from_text = predictor([tmp_path / "a.png", str(tmp_path / "a.png")])
    assert_close(from_path, predictor(image))
    assert_close(from_text, predictor(image))
    grey = predictor(image[..., 0])
    assert_close(grey, predictor(np.repeat(image[..., :1], 3, axis=2)))


class Recording(nn.Module):
    """Notes the shapes of its inputs; class k for a red of 10 k."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.classes = LabelSpace([f"class {k}" for k in range(4)])
        self.seen: list[list[tuple[int, ...]]] = []

    def forward(self, inputs: list[dict[str, Tensor]]) -> list[dict[str, Tensor]]:
        self.seen.append([tuple(x["image"].shape) for x in inputs])
        return [
            {"sem_seg": 9.0 * torch.stack([x["image"][0] == 10 * k for k in range(4)]).float()}
            for x in inputs
        ]


def plain(height: int, width: int, k: int) -> np.ndarray:
    return np.full((height, width, 3), 10 * k, np.uint8)


def test_images_of_one_size_pass_together_and_none_is_padded() -> None:
    model = Recording()
    images = [plain(4, 6, 1), plain(5, 5, 2), plain(4, 6, 3)]
    predictions = Predictor(model=model)(images)
    assert model.seen == [[(3, 4, 6), (3, 4, 6)], [(3, 5, 5)]]
    assert [prediction.classes[0, 0] for prediction in predictions] == [1, 2, 3]
    assert not model.training


def test_a_stream_is_cut_into_batches_and_stays_in_order() -> None:
    one, two = Recording(), Recording()
    taken = []

    def frames() -> Any:
        for k in (0, 3, 1):
            taken.append(k)
            yield Frame(f"frame{k}", plain(4, 6, k))

    stream = predict_frames(
        frames(), {"a": Predictor(model=one), "b": Predictor(model=two)}, batch_size=2
    )
    first = next(stream)
    assert taken == [0, 3]  # no more than the batch was read
    results = [first, *stream]
    assert [frame.name for frame, _ in results] == ["frame0", "frame3", "frame1"]
    for frame, of_models in results:
        assert {t: f"frame{p.classes[0, 0]}" for t, p in of_models.items()} == {
            "a": frame.name,
            "b": frame.name,
        }
    assert [len(batch) for batch in one.seen] == [len(batch) for batch in two.seen] == [2, 1]


class Narrow(Recording):
    """Fails as a GPU does that has no memory left, for more than one image or a wide one."""

    def forward(self, inputs: list[dict[str, Tensor]]) -> list[dict[str, Tensor]]:
        if len(inputs) > 1 or inputs[0]["image"].shape[-1] > 6:
            raise torch.OutOfMemoryError("out of memory")
        return super().forward(inputs)


def test_an_image_that_cannot_be_predicted_costs_no_other_of_its_batch() -> None:
    sizes = {"a": (6, 1), "wide": (9, 2), "b": (6, 3)}
    frames = [Frame(name, plain(4, width, k)) for name, (width, k) in sizes.items()]
    predictors, problems = {"x": Predictor(model=Narrow())}, []
    results = predict_frames(frames, predictors, batch_size=3, problems=problems)
    assert {frame.name: of["x"].classes[0, 0] for frame, of in results} == {"a": 1, "b": 3}
    assert problems == ["'wide' cannot be predicted: out of memory"]
    with pytest.raises(torch.OutOfMemoryError):
        list(predict_frames(frames, predictors, batch_size=1))


@pytest.mark.parametrize(
    ("changes", "least"),
    [
        ([], 15),
        (["model.backbone.output_stride=8"], 7),
        (["model.backbone.output_stride=32"], 31),
        (["evaluation.inference.scales=[1.0,0.7]", "evaluation.inference.window=[40,40]"], 22),
    ],
)
def test_the_least_side_is_predicted_and_a_pixel_less_refused(
    trained: tuple[nn.Module, str], overrides: list[str], changes: list[str], least: int
) -> None:
    predictor = Predictor.from_config(CONFIG, trained[1], [*overrides, *changes])
    assert predictor.least_side == least
    for height, width in ((least, 50), (50, least)):
        assert predictor(noise(height, width)).classes.shape == (height, width)
    says = rf"{least - 1}x50 pixels \(width x height\), expected sides of {least} at least"
    with pytest.raises(LangDGError, match=says):
        predictor([noise(50, 50), noise(50, least - 1)])


def test_half_precision_on_request_is_near_to_single_precision(
    trained: tuple[nn.Module, str], predictor: Predictor
) -> None:
    image = noise(40, 56)
    single, half = predictor(image), Predictor(model=trained[0], precision="bfloat16")(image)
    difference = np.abs(single.confidence - half.confidence)
    assert 0 < difference.mean() < 0.02
    assert (single.classes == half.classes).mean() > 0.9
    assert half.confidence.dtype == np.float32


def test_the_configured_inference_is_used(
    trained: tuple[nn.Module, str], overrides: list[str]
) -> None:
    image = noise(32, 48)
    flips = [*overrides, "evaluation.inference.flip=True"]
    predictor = Predictor.from_config(CONFIG, trained[1], flips)
    mirrored = predictor(np.ascontiguousarray(image[:, ::-1]))
    assert np.allclose(mirrored.confidence[:, ::-1], predictor(image).confidence, atol=1e-4)


def test_what_cannot_be_built_is_named(
    trained: tuple[nn.Module, str], overrides: list[str], tmp_path: Path
) -> None:
    for nothing in ("nothing.pth", ""):
        with pytest.raises(FileNotFoundError, match=f"checkpoint '{nothing}' does not exist"):
            Predictor.from_config(CONFIG, nothing, overrides)
    with pytest.raises(LangDGError, match=r"there is no config file 'nothing\.py'"):
        Predictor.from_config("nothing.py", trained[1])
    with pytest.raises(LangDGError, match=r"no key 'evaluation\.inference\.flips'"):
        Predictor.from_config(CONFIG, trained[1], ["evaluation.inference.flips=True"])
    with pytest.raises(LangDGError, match=r"\.pth' does not fit the model"):
        Predictor.from_config(CONFIG, trained[1], [*overrides, "model.sem_seg_head.channels=9"])
    (tmp_path / "broken.pth").write_bytes(b"broken")
    with pytest.raises(CheckpointError, match=r"broken\.pth' cannot be read as a checkpoint"):
        Predictor.from_config(CONFIG, str(tmp_path / "broken.pth"), overrides)


def test_a_model_with_other_settings_than_trained_is_warned_of(
    trained: tuple[nn.Module, str],
    overrides: list[str],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    cfg = apply_overrides(LazyConfig.load(CONFIG), overrides)
    settings = RunSettings(plain_data(cfg)).state_dict()
    path = str(tmp_path / "model.pth")
    torch.save(torch.load(trained[1]) | {"settings": settings}, path)
    Predictor.from_config(CONFIG, path, overrides)
    assert "other settings" not in caplog.text
    changed = "model.backbone.output_stride=32"
    Predictor.from_config(CONFIG, path, [*overrides, changed])
    assert "other settings than those in use: model.backbone.output_stride 16 -> 32" in caplog.text


def test_unusable_precisions_and_images_are_named(predictor: Predictor) -> None:
    with pytest.raises(LangDGError, match="precision 'int8', expected one of auto, float32"):
        Predictor(model=Recording(), precision="int8")
    with pytest.raises(LangDGError, match="'float16' is for GPUs; on the CPU use 'bfloat16'"):
        Predictor(model=Recording(), precision="float16")
    with pytest.raises(ImageFileError, match=r"nothing\.png' does not exist"):
        predictor("nothing.png")


@pytest.mark.parametrize(
    ("checkpoints", "names"),
    [
        (["runs/a/source.pth", "runs/b/recipe.pth"], ["source", "recipe"]),
        (["runs/a/model_final.pth", "runs/b/model_final.pth"], ["a", "b"]),
        (["a/x/model.pth", "b/x/model.pth"], ["a/x/model.pth", "b/x/model.pth"]),
    ],
)
def test_checkpoints_are_called_by_what_tells_them_apart(
    checkpoints: list[str], names: list[str]
) -> None:
    assert model_names(checkpoints) == names
    with pytest.raises(LangDGError, match="a checkpoint is given twice"):
        model_names([*checkpoints, checkpoints[0]])


def predictors_named(*checkpoints: str, options: Sequence[str] = ()) -> dict[str, Predictor]:
    """What a command loads."""
    command = ["--config-file", CONFIG, "--checkpoint", *checkpoints, *options]
    return predictors_of(parse_with_predictors(ArgumentParser(), command))


def test_every_checkpoint_needs_a_name_of_its_own() -> None:
    with pytest.raises(LangDGError, match="names one, one: give each checkpoint another name"):
        predictors_named("a.pth", "b.pth", options=["--names", "one", "one"])


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "LA", "1", "CMYK", "I;16"])
def test_images_of_pillow_are_those_of_their_files(
    predictor: Predictor, tmp_path: Path, mode: str
) -> None:
    image = Image.fromarray(noise(40, 56)).convert("L" if mode == "I;16" else mode)
    if mode == "I;16":
        image = Image.fromarray(np.array(image).astype(np.uint16) * 257)
    path = tmp_path / "image.tif"
    image.save(path)
    assert np.array_equal(predictor(image).image, predictor(path).image)
    assert np.array_equal(predictor([image])[0].classes, predictor(path).classes)


def test_an_image_of_pillow_is_turned_as_its_exif_data_ask(predictor: Predictor) -> None:
    image = Image.fromarray(noise(40, 56))
    image.getexif()[0x112] = 3
    assert np.array_equal(predictor(image).image, noise(40, 56)[::-1, ::-1])
    for mode in ("I", "F"):
        with pytest.raises(LangDGError, match="expected 8 or 16 bits"):
            predictor(Image.fromarray(noise(40, 56)).convert(mode))


def test_a_result_knows_the_models_classes(predictor: Predictor) -> None:
    prediction = predictor(noise(40, 156))
    assert prediction.label_space == predictor.classes
    palette = palette_named("classes", CITYSCAPES_19)
    expected = draw_panels({"": prediction}, views=["overlay"], palette=palette)
    assert np.array_equal(prediction.overlay(), expected)


def test_names_and_colours_come_from_the_checkpoint_where_it_has_them(
    trained: tuple[nn.Module, str], overrides: list[str], tmp_path: Path
) -> None:
    own = LabelSpace([f"class {k}" for k in range(19)])
    path = str(tmp_path / "own.pth")
    torch.save({"model": trained[0].state_dict(), "classes": own.plain()}, path)
    mine = Predictor.from_config(CONFIG, path, overrides)
    assert mine.classes == own
    assert Predictor.from_config(CONFIG, trained[1], overrides).classes == CITYSCAPES_19
    with pytest.raises(
        LangDGError, match="'model_final' and 'own' have different classes, road, .* 16"
    ):
        predictors_named(trained[1], path, options=["--opts", *overrides])

"""Models go where a config says, in its layout, compiled if it wants so."""

from copy import deepcopy
from pathlib import Path

import pytest
import torch
from detectron2.config import LazyConfig, instantiate

from langdg_d2.engine import apply_overrides, place
from langdg_d2.modeling.backbone.layers import LAYERS
from langdg_d2.modeling.folding import fold
from langdg_d2.utils.amp import autocast
from langdg_d2.utils.errors import LangDGError

CONFIG = str(Path(__file__).parents[2] / "configs/langdg_gta5.py")
NO_WEIGHTS = "model.backbone.tower.weights=null"


@pytest.fixture
def model(tiny_model):
    return instantiate(apply_overrides(LazyConfig.load(CONFIG), [*tiny_model, NO_WEIGHTS]).model)


def placed(model, memory_format="channels_last", compiler=""):
    return place(model, device="cpu", memory_format=memory_format, compiler=compiler)


@pytest.mark.parametrize("name", ["channels_last", "contiguous_format"])
def test_weights_have_the_layout_of_the_name(model, name):
    weight = placed(model, memory_format=name).backbone.tower.conv2.weight
    assert weight.is_contiguous(memory_format=getattr(torch, name))


@pytest.mark.parametrize("name", ["channels_first", "nn", ""])
def test_other_layouts_are_refused_with_those_there_are(model, name):
    with pytest.raises(LangDGError, match=rf"'{name}' must be one of \['channels_last', 'contig"):
        placed(model, memory_format=name)


def test_other_compilers_are_refused_with_those_there_are(model):
    with pytest.raises(LangDGError, match=r"compiler 'gcc' must be one of .*'inductor'"):
        placed(model, compiler="gcc")


def test_compiled_model_predicts_and_trains_the_same(model):
    images = [{"image": torch.randint(256, (3, 32, 48), dtype=torch.uint8)}]
    targets = {"sem_seg": torch.randint(19, (32, 48), dtype=torch.uint8)}
    outcomes, counts = [], torch._dynamo.utils.counters["stats"]
    before = counts["unique_graphs"]
    for compiler in ("", "eager"):
        fold(placed(model, compiler=compiler), dtype=torch.float32)
        logits = model.eval()(images)[0]["sem_seg"]
        model.train().sem_seg_head.eval()  # no randomness
        loss = model([{**images[0], **targets}])["loss_sem_seg"]
        outcomes.append((logits, loss))
    torch.testing.assert_close(*outcomes)
    # The trunk's layers and, at evaluation, the head.
    assert counts["unique_graphs"] - before >= len(LAYERS) + 1


def test_compiled_layers_take_new_weights_without_compiling_again(model):
    images = [{"image": torch.randint(256, (3, 32, 48), dtype=torch.uint8)}]
    counts = torch._dynamo.utils.counters["stats"]
    fold(placed(model.eval(), compiler="eager"), dtype=torch.float32)
    model(images)
    before = counts["unique_graphs"]
    with torch.no_grad():
        for weights in model.parameters():
            weights.mul_(1.1)
    fold(model, dtype=torch.float32)
    after = model(images)[0]["sem_seg"]
    assert counts["unique_graphs"] == before
    torch.testing.assert_close(after, deepcopy(model)(images)[0]["sem_seg"])


def test_all_sizes_and_precisions_are_computed_by_compiled_layers(model):
    placed(model.eval(), compiler="eager")
    with torch._dynamo.config.patch(fail_on_recompile_limit_hit=True):
        for height in (32, 64, 96):
            images = [{"image": torch.randint(256, (3, height, 64), dtype=torch.uint8)}]
            for precision, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
                fold(model, dtype=dtype)
                with autocast(precision, "cpu"):
                    logits = model(images)[0]["sem_seg"]
                assert logits.shape[-2:] == (height, 64)
                assert logits.isfinite().all()

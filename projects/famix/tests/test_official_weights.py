"""Names of the official release's weights."""

import re

import pytest
import torch
from detectron2.layers import ShapeSpec
from official_release import from_official, to_official

from langdg_d2.modeling import ClipResNet, DeepLabV3PlusHead
from langdg_d2.modeling.checkpoint_files import CheckpointError


@pytest.fixture
def model(tiny_tower):
    return network(tiny_tower)


def network(tower, rates=(6, 12, 18), **options):
    """Parts under the names they have in the segmentor."""
    backbone = ClipResNet(tower=tower, output_stride=16, trainable=("layer4.2",), **options)
    widths = {name: shape.channels for name, shape in backbone.output_shape().items()}
    head = DeepLabV3PlusHead(
        input_shape={name: ShapeSpec(channels=width) for name, width in widths.items()},
        low_level="res2",
        high_level="res5",
        num_classes=5,
        low_level_channels=3,
        channels=8,
        atrous_rates=rates,
        dropout=0.1,
    )
    for module in (backbone, head):
        for name, buffer in module.named_buffers():
            if name.endswith("running_mean"):
                torch.nn.init.normal_(buffer)
    return torch.nn.ModuleDict({"backbone": backbone, "sem_seg_head": head})


def official_state(model):
    """The same weights in the official network, part by part."""
    head = model.sem_seg_head
    parts = {
        "backbone": model.backbone.tower,
        "classifier.project": head.project,
        "classifier.aspp.convs.0": head.aspp.local,
        "classifier.aspp.convs.1": head.aspp.atrous[0],
        "classifier.aspp.convs.2": head.aspp.atrous[1],
        "classifier.aspp.convs.3": head.aspp.atrous[2],
        "classifier.aspp.convs.4": head.aspp.image_pool,
        "classifier.aspp.project": head.aspp.project,
        "classifier.classifier.0": head.fuse[0],
        "classifier.classifier.1": head.fuse[1],
        "classifier.classifier.3": head.predict,
    }
    return {
        f"{part}.{name}": value
        for part, module in parts.items()
        for name, value in module.state_dict().items()
    }


def test_every_weight_gets_its_official_name_in_the_official_order(model):
    converted = to_official(model.state_dict(), model_state=model.state_dict())
    expected = official_state(model)
    assert list(converted) == list(expected)
    assert all(torch.equal(converted[name], value) for name, value in expected.items())


def test_official_names_of_the_head_are_those_of_the_release(model):
    """Sequential layers there: convolution 0, norm 1; image pooling has its pool before them."""
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    triples = [("project", 0), ("aspp.project", 0), ("classifier", 0), ("aspp.convs.4", 1)]
    triples += [(f"aspp.convs.{k}", 0) for k in range(4)]
    wanted = {"classifier.classifier.3.weight", "classifier.classifier.3.bias"}
    for part, first in triples:
        wanted.add(f"classifier.{part}.{first}.weight")
        wanted |= {f"classifier.{part}.{first + 1}.{name}" for name in norm}
    names = to_official(model.state_dict(), model_state=model.state_dict())
    assert {name for name in names if name.startswith("classifier.")} == wanted
    assert {"backbone.conv1.weight", "backbone.layer4.2.bn3.running_var"} < set(names)


@pytest.mark.parametrize("prefix", ["", "module.", "module.net."])
def test_there_and_back_is_exact(model, prefix):
    official = official_state(model)
    wrapped = {prefix + name: weight for name, weight in official.items()}
    ours = from_official(wrapped, model_state=model.state_dict())
    assert list(ours) == list(model.state_dict())
    assert all(torch.equal(ours[name], value) for name, value in model.state_dict().items())
    back = to_official(ours, model_state=model.state_dict())
    assert all(back[name] is official[name] for name in official)
    assert len(back) == len(official)


def test_attention_pooling_is_left_out(model):
    official = official_state(model) | {"backbone.attnpool.k_proj.bias": torch.zeros(3)}
    converted = from_official(official, model_state=model.state_dict())
    assert list(converted) == list(model.state_dict())


def test_the_first_misfits_are_named_after_the_remedy(model):
    official = official_state(model)
    del official["backbone.layer1.0.conv1.weight"]
    del official["classifier.project.1.running_var"]
    official["classifier.classifier.3.bias"] = torch.zeros(19)
    official["classifier.aspp.convs.5.0.weight"] = torch.zeros(1)
    with pytest.raises(CheckpointError) as caught:
        from_official(official, model_state=model.state_dict())
    assert str(caught.value) == (
        "use the config of the network that the weights belong to (RN50 or RN101, number of "
        "classes): 4 do not fit the model. backbone.layer1.0.conv1.weight is missing, "
        "classifier.project.1.running_var is missing, classifier.classifier.3.bias is (19,) "
        "instead of (5,), 1 more"
    )


def test_weights_of_a_deeper_network_are_refused(model):
    official = official_state(model)
    deeper = {
        re.sub(r"layer3\.1", "layer3.2", name): value
        for name, value in official.items()
        if name.startswith("backbone.layer3.1.")
    }
    with pytest.raises(CheckpointError, match=r"layer3\.2\.conv1\.weight is unknown"):
        from_official(official | deeper, model_state=model.state_dict())


def test_unfit_weights_are_reported_by_our_names(model):
    ours = dict(model.state_dict())
    del ours["sem_seg_head.predict.bias"]
    ours["sem_seg_head.extra"] = torch.zeros(1)
    with pytest.raises(CheckpointError) as caught:
        to_official(ours, model_state=model.state_dict())
    assert str(caught.value).endswith(
        "2 do not fit the model. sem_seg_head.predict.bias is missing, sem_seg_head.extra is "
        "unknown"
    )


def test_an_architecture_without_official_counterpart_is_refused(tiny_tower):
    model = network(tiny_tower, rates=(3, 6, 12, 18))
    for convert in (from_official, to_official):
        with pytest.raises(
            CheckpointError, match=r"no counterpart of sem_seg_head\.aspp\..*, 3 more$"
        ):
            convert({}, model_state=model.state_dict())

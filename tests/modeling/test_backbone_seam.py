"""Another tower than CLIP's fits segmentor, mixer and PIN through the base class alone."""

import pytest
import torch
from detectron2.layers import ShapeSpec
from torch import nn

from langdg_d2.modeling import (
    DeepLabV3PlusHead,
    LangDGSegmentor,
    PixelCrossEntropy,
    TextAlignedBackbone,
)
from langdg_d2.structures import CITYSCAPES_19, PatchGrid
from langdg_d2.styles import NoiseStyles, PatchStyleMixer
from langdg_d2.styles.pin import PinSettings, PromptDrivenNormalization


class LinearTower(TextAlignedBackbone):
    """Layers that end without an activation."""

    restyled = "res2"
    restyled_layer = "patchify"
    embedding_side = 2

    def __init__(self):
        super().__init__()
        self.patchify, self.down = nn.Conv2d(3, 8, 4, stride=4), nn.Conv2d(8, 12, 4, stride=4)

    def forward_low(self, images):
        return {"res2": self.patchify(images)}

    def forward_high(self, low):
        return {**low, "res4": self.down(low["res2"])}

    def embed(self, high):
        return high.mean((2, 3))

    def output_shape(self):
        return {
            "res2": ShapeSpec(channels=8, stride=4),
            "res4": ShapeSpec(channels=12, stride=16),
        }

    def low_state(self):
        return self.patchify.state_dict(keep_vars=True)

    def layer_groups(self):
        return {"patchify": [self.patchify], "down": [self.down]}


@pytest.fixture
def tower() -> TextAlignedBackbone:
    torch.manual_seed(0)
    return LinearTower()


def test_a_segmentor_trains_and_predicts_on_it(tower):
    head = DeepLabV3PlusHead(
        input_shape=tower.output_shape(),
        low_level="res2",
        high_level="res4",
        num_classes=19,
        low_level_channels=4,
        channels=8,
        atrous_rates=[1],
        dropout=0.0,
    )
    model = LangDGSegmentor(
        backbone=tower,
        sem_seg_head=head,
        criterion=PixelCrossEntropy(ignore_label=255, label_smoothing=0.0),
        pixel_mean=[100.0] * 3,
        pixel_std=[50.0] * 3,
        classes=CITYSCAPES_19,
    )
    image = torch.randint(256, (3, 32, 48), dtype=torch.uint8)
    labels = torch.randint(19, (32, 48), dtype=torch.uint8)
    batch = [{"image": image, "sem_seg": labels}] * 2
    model(batch)["loss_sem_seg"].backward()
    assert tower.patchify.weight.grad.any()
    assert model.eval()(batch)[0]["sem_seg"].shape == (19, 32, 48)


def test_restyled_features_pass_the_towers_own_activation(tower):
    grid = PatchGrid(1, 1)
    mixer = PatchStyleMixer(grid=grid, styles=NoiseStyles(snr_db=5.0), weights=zero_weights)
    features, classes = torch.randn(2, 8, 6, 6), torch.zeros(2, 1, 1, dtype=torch.uint8)
    assert (mixer(features, classes) >= 0).all()  # ReLU unless a tower says otherwise
    mixer.activation = tower.restyle_activation
    assert (mixer(features, classes) < 0).any()


def zero_weights(images, channels, generator):
    return torch.zeros(images, channels, 1, 1)


def test_pin_mines_on_it(tower):
    pin = PromptDrivenNormalization(backbone=tower.eval(), settings=PinSettings(steps=5))
    text = nn.functional.normalize(torch.randn(3, 12), dim=1)
    result = pin(torch.randn(3, 8, 8, 8), text)
    assert (result.cosine_after > result.cosine_before).all()

"""Style mining on a single image (paper section 4.2), and its effect on the prediction.

As in the recipe, the image is divided into patches, a style is optimised for every majority class
of a patch, and patches are restyled with the style of their class. Because the image has no labels,
the classes are predicted by the model.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from detectron2.config import instantiate
from torch import nn
from uploads import Image

from langdg_d2.engine import load_config
from langdg_d2.evaluation import unwrapped
from langdg_d2.modeling import FeatureAugmentation, LangDGSegmentor
from langdg_d2.styles import (
    BankStyles,
    ConstantWeights,
    PatchStyleMixer,
    StyleBank,
    StyleMiner,
    TargetPrompts,
)
from langdg_d2.styles.bank import feature_fingerprint
from langdg_d2.utils.errors import LangDGError
from langdg_d2.visualization import Prediction

STYLE_ONLY = "{style}"


class Restyled(NamedTuple):
    """Predictions of an image before and after restyling, and the mined styles."""

    before: Prediction
    after: Prediction
    bank: StyleBank


class LiveStyles:
    """Mines a style for a text on an image, and predicts the image in that style.

    Args:
        config_file: LazyConfig file with the CLIP, patch grid and settings of mining. It is Python
            code: use only files you trust.
        overrides: config overrides.

    Raises:
        ClipWeightsError: if CLIP's weights cannot be loaded.
    """

    def __init__(self, config_file: str, overrides: Sequence[str] = ()) -> None:
        self._config = load_config(config_file, overrides).styles.mining.miner
        self._clip = instantiate(self._config.clip)
        self._grid = instantiate(self._config.grid)
        self._fingerprint = feature_fingerprint(self._clip.backbone)

    def fits(self, model: nn.Module) -> bool:
        """Return whether a model's layers up to the restyled features are those of CLIP."""
        *_, segmentor = unwrapped(model)
        backbone = getattr(segmentor, "backbone", None)
        return backbone is not None and feature_fingerprint(backbone) == self._fingerprint

    def __call__(
        self,
        image: Image,
        model: nn.Module,
        *,
        prompt: str,
        steps: int,
        own_share: float = 0.0,
        name_classes: bool = True,
    ) -> Restyled:
        """Mine a style and predict the whole image at a single scale, in any inference variant.

        Args:
            image: (H, W, 3) uint8 RGB.
            model: a `LangDGSegmentor`, or an inference variant of one.
            prompt: style, such as "foggy night".
            steps: number of optimisation steps; 0 keeps the patches' own styles.
            own_share: weight of a patch's own style, in 0..1.
            name_classes: whether to include class names in the texts, as in the recipe.
        """
        if not prompt.strip():
            raise LangDGError("the style prompt is empty; enter one, such as 'foggy night'")
        *_, segmentor = unwrapped(model)
        if not isinstance(segmentor, LangDGSegmentor):
            raise LangDGError(
                f"a {type(segmentor).__name__} has no features to restyle, expected a "
                "LangDGSegmentor"
            )
        prompts = self._prompts(prompt.strip(), name_classes)
        pin = {**self._config.pin, "steps": steps}
        miner: StyleMiner = instantiate(
            {**self._config, "clip": self._clip, "prompts": prompts, "pin": pin}
        )
        header = miner.header(source="one image", seed=0, settings={})
        if not self.fits(segmentor):
            raise LangDGError(
                f"the layers of this checkpoint up to '{header.layer}' are not those of the CLIP "
                "used for mining, because they were not frozen; choose another checkpoint"
            )
        before = _predict(segmentor, image)
        labels = torch.from_numpy(before.classes)[None]  # (1, H, W)
        images = torch.from_numpy(image).permute(2, 0, 1)[None]  # (1, 3, H, W)
        generator = torch.Generator().manual_seed(0)
        bank = miner.mine(images, labels, header=header, generator=generator)
        styles = BankStyles(
            bank=bank,
            grid=self._grid,
            class_names=prompts.class_names,
            ignore_label=prompts.ignore_label,
        )
        weights = ConstantWeights(value=own_share)
        mixer = PatchStyleMixer(grid=self._grid, styles=styles, weights=weights)
        mixer.prepare(segmentor.backbone)
        after = _predict(segmentor, image, mixer, self._grid.majority(labels))
        return Restyled(before, after, bank)

    def _prompts(self, style: str, name_classes: bool) -> TargetPrompts:
        settings: dict[str, Any] = {**self._config.prompts, "style_prompts": [style]}
        if not name_classes:
            settings["template"] = STYLE_ONLY
        prompts: TargetPrompts = instantiate(settings)
        if not any(style in text for text in prompts.all()):
            raise LangDGError(
                f"the config's template '{settings['template']}' has no '{STYLE_ONLY}', so styles "
                "have no effect: add it to styles.mining.miner.prompts.template, or mine without "
                "class names"
            )
        return prompts


@torch.no_grad()
def _predict(
    model: LangDGSegmentor,
    image: Image,
    augmentation: FeatureAugmentation | None = None,
    patch_classes: torch.Tensor | None = None,
) -> Prediction:
    """Predict an image, with an augmentation of the low-level features if given."""
    images = model.preprocess([{"image": torch.from_numpy(image).permute(2, 0, 1)}])
    classes = None if patch_classes is None else patch_classes.to(model.device)
    logits = model.logits(images.tensor, augmentation, classes)
    height, width = image.shape[:2]
    return Prediction.from_logits(image, logits[0, :, :height, :width], model.classes)

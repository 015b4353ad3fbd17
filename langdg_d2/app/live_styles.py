"""A style mined on one image while its user waits (paper section 4.2), and what it changes.

As in the recipe: the image is cut into patches, a style is optimised for every class that is the
majority of a patch, and patches are restyled with the style of their class. The image has no
labels, so the classes are those that the model predicts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from detectron2.config import LazyConfig, instantiate
from torch import nn

from ..engine import apply_overrides
from ..modeling import (
    ClipResNet,
    FeatureAugmentation,
    LangDGSegmentor,
    PixelNormalization,
    load_clip,
)
from ..structures import PatchGrid
from ..styles import (
    BankHeader,
    BankStyles,
    ConstantWeights,
    PatchStyleMixer,
    PinSettings,
    StyleBank,
    StyleMiner,
    TargetPrompts,
)
from ..styles.checking import feature_fingerprint
from ..visualization import Prediction
from .uploads import Image

STYLE_ONLY = "{style}"


@dataclass(frozen=True, eq=False, kw_only=True)
class Restyled:
    """An image predicted in its own style and in that of a text.

    Attributes:
        before: with the features as they are.
        after: with the restyled features.
        bank: the styles, with their texts and cosines, one for each class of a patch.
    """

    before: Prediction
    after: Prediction
    bank: StyleBank

    @property
    def changed(self) -> float:
        """Share of the pixels whose class is another one, in 0..1."""
        return float(np.mean(self.before.classes != self.after.classes))


class LiveStyles:
    """Mines a style for a text on the patches of an image and predicts the image in it.

    Args:
        clip: as `load_clip` gives it; taken over and frozen.
        clip_name: the name or JSON path that `load_clip` was given.
        restyled_layer: see `ClipResNet`.
        grid: patches that images are cut into.
        class_names: name of every train id.
        ignore_label: train id of pixels without a class.
        template: how a style and a class's name are put together, see `TargetPrompts`.
        normalize: of the images.
        pin: how styles are optimised; the number of steps is given with each text.
        device: where it runs; that of the models.
    """

    def __init__(
        self,
        *,
        clip: nn.Module,
        clip_name: str,
        restyled_layer: str,
        grid: PatchGrid,
        class_names: Sequence[str],
        ignore_label: int,
        template: str,
        normalize: PixelNormalization,
        pin: PinSettings,
        device: str,
    ) -> None:
        self._parts: dict[str, Any] = {
            "clip": clip,
            "clip_name": clip_name,
            "restyled_layer": restyled_layer,
            "grid": grid,
            "normalize": normalize,
            "device": device,
        }
        self._grid = grid
        self._classes: dict[str, Any] = {
            "class_names": list(class_names),
            "ignore_label": ignore_label,
        }
        self._template = template
        self.pin = pin

    @classmethod
    def from_config(cls, config_file: str, overrides: Sequence[str] = ()) -> "LiveStyles":
        """With the CLIP, grid and settings that a config mines with.

        Args:
            config_file: LazyConfig file. It is Python code: use only those you trust.
            overrides: changes of the config.

        Raises:
            ClipWeightsError: if CLIP's weights cannot be had.
            KeyError: for an override of a key that does not exist.
        """
        cfg = apply_overrides(LazyConfig.load(config_file), overrides)
        miner = cfg.styles.mining.miner
        return cls(
            clip=load_clip(name=miner.clip.name, weights=miner.clip.weights),
            clip_name=miner.clip_name,
            restyled_layer=miner.restyled_layer,
            grid=instantiate(miner.grid),
            class_names=miner.prompts.class_names,
            ignore_label=miner.prompts.ignore_label,
            template=miner.prompts.template,
            normalize=instantiate(miner.normalize),
            pin=instantiate(miner.pin),
            device=cfg.train.device,
        )

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
        """Mine and predict.

        Images are seen whole and once, whatever way of inference is wrapped around the model.

        Args:
            image: (H, W, 3) uint8 RGB.
            model: a `LangDGSegmentor`, or one that inference variants are wrapped around.
            prompt: the style, such as "foggy night".
            steps: of the optimisation; 0 leaves the patches' own styles.
            own_share: of a patch's own style in the mixture, in 0..1.
            name_classes: put the name of each patch's class into its text, as the recipe does.

        Raises:
            ValueError: if the prompt is empty or too long, the image too small for the grid, or
                the model's low-level features are not those of the CLIP.
        """
        if not prompt.strip():
            raise ValueError("there is no style prompt; write one, such as 'foggy night'")
        segmentor = _segmentor(model)
        miner = self._miner(prompt.strip(), steps, self._template if name_classes else STYLE_ONLY)
        header = miner.header(source="one image", seed=0, settings={})
        _require_clip(segmentor.backbone, header)
        before = _predict(segmentor, image)
        labels = torch.from_numpy(before.classes)[None]
        bank = miner.mine(
            torch.from_numpy(image).permute(2, 0, 1)[None],
            labels,
            header=header,
            generator=torch.Generator().manual_seed(0),
        )
        mixer = PatchStyleMixer(
            grid=self._grid,
            styles=BankStyles(bank=bank, grid=self._grid, **self._classes),
            weights=ConstantWeights(value=own_share),
        )
        mixer.styles.prepare(segmentor.backbone)
        patch_classes = self._grid.majority(labels)
        after = _predict(segmentor, image, mixer, patch_classes)
        return Restyled(before=before, after=after, bank=bank)

    def _miner(self, prompt: str, steps: int, template: str) -> StyleMiner:
        prompts = TargetPrompts(style_prompts=[prompt], template=template, **self._classes)
        return StyleMiner(prompts=prompts, pin=replace(self.pin, steps=steps), **self._parts)


def _segmentor(model: nn.Module) -> LangDGSegmentor:
    while not isinstance(model, LangDGSegmentor):
        inner = getattr(model, "model", None)
        if not isinstance(inner, nn.Module):
            raise ValueError(
                f"a {type(model).__name__} has no features to restyle, expected a LangDGSegmentor"
            )
        model = inner
    return model


def _require_clip(backbone: ClipResNet, header: BankHeader) -> None:
    if feature_fingerprint(backbone) != header.clip_fingerprint:
        raise ValueError(
            f"the layers of this checkpoint up to '{header.layer}' are not those of the CLIP "
            "that mines styles, as after training that froze nothing; choose another checkpoint"
        )


@torch.no_grad()
def _predict(
    model: LangDGSegmentor,
    image: Image,
    augmentation: FeatureAugmentation | None = None,
    patch_classes: torch.Tensor | None = None,
) -> Prediction:
    """What the model's later layers and its head make of features that were augmented."""
    images = model.preprocess([{"image": torch.from_numpy(image).permute(2, 0, 1)}])
    classes = None if patch_classes is None else patch_classes.to(model.device)
    logits = model.logits(images.tensor, augmentation, classes)
    height, width = image.shape[:2]
    return Prediction.from_logits(image, logits[0, :, :height, :width])

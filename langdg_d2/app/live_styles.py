"""A style mined on one image while its user waits (paper section 4.2), and what it changes.

As in the recipe: the image is cut into patches, a style is optimised for every class that is the
majority of a patch, and patches are restyled with the style of their class. The image has no
labels, so the classes are those that the model predicts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from detectron2.config import instantiate
from detectron2.utils.registry import locate
from omegaconf import DictConfig
from torch import nn

from ..engine import load_config
from ..evaluation import unwrapped
from ..modeling import Backbone, FeatureAugmentation, LangDGSegmentor
from ..styles import (
    BankHeader,
    BankStyles,
    ConstantWeights,
    PatchStyleMixer,
    StyleBank,
    StyleMiner,
    TargetPrompts,
)
from ..styles.bank import feature_fingerprint
from ..utils.errors import LangDGError
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
        miner: `StyleMiner` with all its arguments but the prompts, as keywords; how many steps PIN
            takes is given with each text.
        prompts: `TargetPrompts` with all its arguments but the style prompts.
    """

    def __init__(self, *, miner: "partial[StyleMiner]", prompts: "partial[TargetPrompts]") -> None:
        self._miner = miner
        self._prompts = prompts

    @classmethod
    def from_config(cls, config_file: str, overrides: Sequence[str] = ()) -> "LiveStyles":
        """With the CLIP, grid and settings that a config mines with.

        Args:
            config_file: LazyConfig file. It is Python code: use only those you trust.
            overrides: changes of the config.

        Raises:
            ClipWeightsError: if CLIP's weights cannot be had.
            LangDGError: for an override of a key that does not exist.
        """
        cfg = load_config(config_file, overrides)
        miner = cfg.styles.mining.miner
        return cls(
            miner=_partial(miner, without="prompts"),
            prompts=_partial(miner.prompts, without="style_prompts"),
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
            LangDGError: if the prompt is empty or too long, or no part of any class's text; if the
                image is too small for the grid, or the model's low-level features are not those
                of the CLIP.
        """
        if not prompt.strip():
            raise LangDGError("there is no style prompt; write one, such as 'foggy night'")
        segmentor = _segmentor(model)
        prompts = self._target_prompts(prompt.strip(), name_classes)
        grid, pin = (self._miner.keywords[name] for name in ("grid", "pin"))
        miner = self._miner(prompts=prompts, pin=replace(pin, steps=steps))
        header = miner.header(source="one image", seed=0, settings={})
        _require_clip(segmentor.backbone, header)
        before = _predict(segmentor, image)
        labels = torch.from_numpy(before.classes)[None]
        images = torch.from_numpy(image).permute(2, 0, 1)[None]
        generator = torch.Generator().manual_seed(0)
        bank = miner.mine(images, labels, header=header, generator=generator)
        styles = BankStyles(
            bank=bank,
            grid=grid,
            class_names=prompts.class_names,
            ignore_label=prompts.ignore_label,
        )
        styles.prepare(segmentor.backbone)
        mixer = PatchStyleMixer(grid=grid, styles=styles, weights=ConstantWeights(value=own_share))
        after = _predict(segmentor, image, mixer, grid.majority(labels))
        return Restyled(before=before, after=after, bank=bank)

    def _target_prompts(self, style: str, name_classes: bool) -> TargetPrompts:
        template = {} if name_classes else {"template": STYLE_ONLY}
        prompts = self._prompts(style_prompts=[style], **template)
        if not any(style in text for text in prompts.all()):
            raise LangDGError(
                f"the config's template '{self._prompts.keywords['template']}' has no "
                f"'{STYLE_ONLY}', so that no style changes anything: put it into styles.mining."
                "miner.prompts.template, or mine without class names"
            )
        return prompts


def _partial(node: DictConfig, *, without: str) -> "partial[Any]":
    """What a config node calls, with its arguments but one."""
    arguments = {str(key): instantiate(value) for key, value in node.items() if key != without}
    target: str | Callable[..., Any] = arguments.pop("_target_")
    return partial(locate(target) if isinstance(target, str) else target, **arguments)


def _segmentor(model: nn.Module) -> LangDGSegmentor:
    *_, network = unwrapped(model)
    if not isinstance(network, LangDGSegmentor):
        raise LangDGError(
            f"a {type(network).__name__} has no features to restyle, expected a LangDGSegmentor"
        )
    return network


def _require_clip(backbone: Backbone, header: BankHeader) -> None:
    if feature_fingerprint(backbone) != header.clip_fingerprint:
        raise LangDGError(
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
    return Prediction.from_logits(image, logits[0, :, :height, :width], model.classes)

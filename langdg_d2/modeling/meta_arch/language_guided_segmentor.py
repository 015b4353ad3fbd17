"""The paper's model: CLIP backbone, feature augmentation, segmentation head."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from detectron2.modeling.postprocessing import sem_seg_postprocess
from detectron2.structures import ImageList
from torch import Tensor, nn

from ...layers import resize_bilinear
from ...structures import LabelSpace
from ...utils.amp import at_least_single
from ...utils.errors import LangDGError
from ..backbone.base import Backbone
from ..feature_augmentation import FeatureAugmentation
from ..pixel_normalization import PixelNormalization

BatchedInputs = list[dict[str, Any]]


class LangDGSegmentor(nn.Module):
    """Segmentation model with Detectron2's `batched_inputs` convention.

    Args:
        backbone: computes low-level features, and high-level features from them.
        sem_seg_head: maps the backbone's features to logits (N, classes, h, w). If it has an
            `input_shape`, the backbone must match it.
        criterion: loss function of logits (N, classes, H, W) and train ids (N, H, W) int64.
        pixel_mean: mean of R, G and B, in 0..255.
        pixel_std: standard deviation of R, G and B, in 0..255.
        classes: names, colours and ids of the classes; padding gets their ignore label.

    Attributes:
        feature_augmentation: restyles low-level features in training, set by a hook; None for no
            restyling.
    """

    def __init__(
        self,
        *,
        backbone: Backbone,
        sem_seg_head: nn.Module,
        criterion: nn.Module,
        pixel_mean: Sequence[float],
        pixel_std: Sequence[float],
        classes: LabelSpace,
    ) -> None:
        super().__init__()
        _require_fit(backbone, sem_seg_head)
        scored = getattr(sem_seg_head, "num_classes", len(classes))
        if scored != len(classes):
            raise LangDGError(
                f"model.sem_seg_head.num_classes is {scored}, but model.classes has "
                f"{len(classes)} names; make them agree"
            )
        self.backbone = backbone
        self.sem_seg_head = sem_seg_head
        self.criterion = criterion
        self.classes = classes
        self.normalize = PixelNormalization(mean=pixel_mean, std=pixel_std)
        self.feature_augmentation: FeatureAugmentation | None = None

    @property
    def device(self) -> torch.device:
        """Device of the model; inputs may be on another device."""
        return self.normalize.mean.device

    def forward(self, batched_inputs: BatchedInputs) -> dict[str, Tensor] | list[dict[str, Tensor]]:
        """Compute losses in training mode and predictions in eval mode.

        Args:
            batched_inputs: one dict per image with `image` (3, H, W), RGB in 0..255, any dtype. In
                training also `sem_seg` (H, W), integer train ids, and `patch_classes` (rows, cols)
                if the feature augmentation needs them. In eval mode optionally `height` and
                `width`, the output size, by default the image's.

        Returns:
            In training `{"loss_sem_seg": scalar}`; in eval mode, for each image,
            `{"sem_seg": logits}` (classes, height, width) float.
        """
        return self.losses(batched_inputs) if self.training else self.inference(batched_inputs)

    def logits(
        self,
        images: Tensor,
        augmentation: FeatureAugmentation | None = None,
        patch_classes: Tensor | None = None,
    ) -> Tensor:
        """Compute logits (N, classes, H, W) of normalised images (N, 3, H, W).

        Args:
            images: result of `normalize`.
            augmentation: restyles low-level features; None for no restyling.
            patch_classes: (N, rows, cols) train ids, if the augmentation needs them.
        """
        low = self.backbone.forward_low(images)
        if augmentation is not None:
            restyled = self.backbone.restyled
            low[restyled] = augmentation(low[restyled], patch_classes)
        return self.head_logits(self.backbone.forward_high(low), images.shape[-2:])

    def head_logits(self, features: Mapping[str, Tensor], size: Sequence[int]) -> Tensor:
        """Compute logits (N, classes, *size) of the backbone's features, at least float32."""
        logits = self.sem_seg_head(features)
        # In half precision, rounding would decide between classes at boundaries.
        return resize_bilinear(at_least_single(logits), size)

    def losses(self, batched_inputs: BatchedInputs) -> dict[str, Tensor]:
        """Compute the loss of a labelled batch with restyled features."""
        images = self.preprocess(batched_inputs).tensor
        patch_classes = None
        if "patch_classes" in batched_inputs[0]:
            patch_classes = torch.stack([x["patch_classes"] for x in batched_inputs])
            patch_classes = patch_classes.to(self.device, non_blocking=True)
        logits = self.logits(images, self.feature_augmentation, patch_classes)
        labels = [x["sem_seg"].to(self.device, non_blocking=True) for x in batched_inputs]
        padded = ImageList.from_tensors(
            labels, self.backbone.size_divisibility, self.classes.ignore_label
        )
        return {"loss_sem_seg": self.criterion(logits, padded.tensor.long())}

    @torch.no_grad()
    def inference(self, batched_inputs: BatchedInputs) -> list[dict[str, Tensor]]:
        """Compute logits at the output size, without restyling.

        Only images of the same size share a forward pass, because padding would change predictions.
        """
        of_size: dict[tuple[int, ...], list[int]] = {}
        for index, inputs in enumerate(batched_inputs):
            of_size.setdefault(tuple(inputs["image"].shape), []).append(index)
        results: dict[int, dict[str, Tensor]] = {}
        for indices in of_size.values():
            images = self.preprocess([batched_inputs[k] for k in indices])
            logits = self.logits(images.tensor)
            for k, scores, size in zip(indices, logits, images.image_sizes, strict=True):
                wanted = batched_inputs[k]
                height, width = wanted.get("height", size[0]), wanted.get("width", size[1])
                results[k] = {"sem_seg": _at_size(scores, size, height, width)}
        return [results[k] for k in range(len(batched_inputs))]

    def preprocess(self, batched_inputs: BatchedInputs) -> ImageList:
        """Normalise the images and zero-pad them at the right and bottom to a common size."""
        images = [self.normalize(x["image"]) for x in batched_inputs]
        return ImageList.from_tensors(images, self.backbone.size_divisibility)


def _require_fit(backbone: Backbone, head: nn.Module) -> None:
    given = backbone.output_shape()
    wrong = []
    for name, wanted in getattr(head, "input_shape", {}).items():
        if name not in given:
            raise LangDGError(f"the head reads '{name}', the backbone gives {list(given)}")
        for what in ("channels", "stride"):
            old, new = getattr(wanted, what), getattr(given[name], what)
            if old not in (None, new):
                wrong.append(f"model.sem_seg_head.input_shape.{name}.{what}={new} (not {old})")
    if wrong:
        raise LangDGError(
            f"the head does not fit the features of the backbone; set {', '.join(wrong)}"
        )


def _at_size(scores: Tensor, image_size: tuple[int, int], height: int, width: int) -> Tensor:
    """Apply Detectron2's post-processing, unless the size is already right."""
    if image_size == (height, width):
        # A copy: a view would keep the whole batch in memory.
        return scores[:, :height, :width].clone()
    return sem_seg_postprocess(scores, image_size, height, width)

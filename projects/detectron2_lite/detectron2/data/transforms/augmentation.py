"""What an augmentation is: it looks at its input and decides on a transform."""

import inspect
import pprint
from collections.abc import Sequence
from typing import Any

import numpy as np
from fvcore.transforms.transform import NoOpTransform, Transform, TransformList


class Augmentation:
    """Base class; a subclass writes `get_transform`.

    The parameters of that method name the attributes of the input it has to see, such as
    `image, sem_seg`; a single one always receives the image. Randomness is NumPy's.
    """

    def get_transform(self, *args: Any) -> Transform:
        """Decide on the transform for this input."""
        raise NotImplementedError

    def __call__(self, aug_input: Any) -> Transform:
        """Transform the input in place and return what was done."""
        transform = self.get_transform(*self._arguments(aug_input))
        assert isinstance(transform, Transform), f"{self} must give a Transform, gave {transform!r}"
        aug_input.transform(transform)
        return transform

    def __repr__(self) -> str:
        """The call that makes it, without defaults; objects' own where attributes differ."""
        parameters = inspect.signature(type(self)).parameters.values()
        kinds = {parameter.kind for parameter in parameters}
        variadic = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
        if kinds & variadic or not all(hasattr(self, p.name) for p in parameters):
            return super().__repr__()
        values = {p.name: getattr(self, p.name) for p in parameters}
        shown = (
            f"{p.name}={pprint.pformat(values[p.name])}"
            for p in parameters
            if values[p.name] is not p.default
        )
        return f"{type(self).__name__}({', '.join(shown)})"

    def _arguments(self, aug_input: Any) -> list[Any]:
        names = list(inspect.signature(self.get_transform).parameters)
        return [getattr(aug_input, name) for name in (names if len(names) > 1 else ["image"])]


class AugInput:
    """An image (H, W[, C]), boxes (N, 4) and a label map (H, W) to be augmented in place."""

    def __init__(
        self,
        image: np.ndarray,
        *,
        boxes: np.ndarray | None = None,
        sem_seg: np.ndarray | None = None,
    ) -> None:
        assert isinstance(image, np.ndarray), f"image must be a NumPy array, got {type(image)}"
        assert image.ndim in (2, 3), f"image must be HxW or HxWxC, got shape {image.shape}"
        self.image, self.boxes, self.sem_seg = image, boxes, sem_seg

    def transform(self, tfm: Transform) -> None:
        """Replace all that is there by its transformed version."""
        labels = {"boxes": tfm.apply_box, "sem_seg": tfm.apply_segmentation}
        for name, apply in {"image": tfm.apply_image, **labels}.items():
            if getattr(self, name) is not None:
                setattr(self, name, apply(getattr(self, name)))


def _apply(step: Augmentation | Transform, aug_input: Any) -> Transform:
    if isinstance(step, Transform):
        aug_input.transform(step)
        return step
    return step(aug_input)


class AugmentationList(Augmentation):
    """Augmentations and transforms in sequence; each sees the result of those before it."""

    def __init__(self, augs: Sequence[Augmentation | Transform]) -> None:
        self.augs = list(augs)

    def __call__(self, aug_input: Any) -> TransformList:
        """Transform the input in place and return the list of what was done."""
        return TransformList([_apply(step, aug_input) for step in self.augs])

    def __repr__(self) -> str:
        return f"AugmentationList[{', '.join(map(str, self.augs))}]"


class RandomApply(Augmentation):
    """An augmentation or transform with a probability, else nothing."""

    def __init__(self, tfm_or_aug: Augmentation | Transform, prob: float = 0.5) -> None:
        assert 0.0 <= prob <= 1.0, f"prob must be in [0, 1], got {prob}"
        self.aug = tfm_or_aug
        self.prob = prob

    def __call__(self, aug_input: Any) -> Transform:
        return _apply(self.aug, aug_input) if np.random.uniform() < self.prob else NoOpTransform()

"""What an augmentation is: a policy that looks at its input and decides on a transform."""

from __future__ import annotations

import inspect
import pprint
from collections.abc import Sequence
from typing import Any

import numpy as np
from fvcore.transforms.transform import NoOpTransform, Transform, TransformList


class Augmentation:
    """Base class; a subclass writes `get_transform`.

    The parameters of `get_transform` name the attributes of the input it has to see, such as
    `image` or `image, sem_seg`; a single parameter always receives the image. Randomness comes
    from NumPy's global generator, which the data loader seeds in every worker.
    """

    input_args: tuple[str, ...] | None = None

    def get_transform(self, *args: Any) -> Transform:
        """Decide on the transform for this input."""
        raise NotImplementedError

    def __call__(self, aug_input: Any) -> Transform:
        """Transform `aug_input` in place and return what was done, for use on other data.

        Raises:
            AttributeError: the input lacks what `get_transform` asks for.
            TypeError: `get_transform` has several parameters of which one is *args or **kwargs.
        """
        if self.input_args is None:
            self.input_args = _wanted_attributes(self)
        transform = self.get_transform(*(self._attribute(aug_input, k) for k in self.input_args))
        assert isinstance(transform, Transform), f"{self} must give a Transform, gave {transform!r}"
        aug_input.transform(transform)
        return transform

    def _attribute(self, aug_input: Any, name: str) -> Any:
        if not hasattr(aug_input, name):
            raise AttributeError(f"{self} needs {name!r}, which {type(aug_input)} does not have")
        return getattr(aug_input, name)

    def _init(self, params: dict[str, Any] | None = None) -> None:
        """Set the attributes in `params`, as in `self._init(locals())`."""
        hidden = ("self", "_")
        vars(self).update({k: v for k, v in (params or {}).items() if not k.startswith(hidden)})

    def _rand_range(
        self, low: float = 1.0, high: float | None = None, size: Any = None
    ) -> np.ndarray | float:
        """Uniform in [low, high), or in [0, low) without `high`."""
        low, high = (0, low) if high is None else (low, high)
        return np.random.uniform(low, high, size)

    def __repr__(self) -> str:
        """The constructor call, if its parameters are attributes, without those at default."""
        shown = []
        for name, parameter in inspect.signature(type(self)).parameters.items():
            is_variable = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
            if is_variable or not hasattr(self, name):
                return super().__repr__()
            value = getattr(self, name)
            if value is not parameter.default:
                text = pprint.pformat(value)
                shown.append(f"{name}={'...' if len(text.splitlines()) > 1 else text}")
        return f"{type(self).__name__}({', '.join(shown)})"


class AugInput:
    """An image and its labels, on which augmentations work in place.

    Args:
        image: (H, W) or (H, W, C), uint8 in [0, 255] or float.
        boxes: (N, 4) float corners x0, y0, x1, y1 in pixels.
        sem_seg: (H, W) uint8 label map.
    """

    def __init__(
        self,
        image: np.ndarray,
        *,
        boxes: np.ndarray | None = None,
        sem_seg: np.ndarray | None = None,
    ) -> None:
        assert isinstance(image, np.ndarray), f"image must be a NumPy array, got {type(image)}"
        assert image.ndim in (2, 3), f"image must be HxW or HxWxC, got shape {image.shape}"
        self.image = image
        self.boxes = boxes
        self.sem_seg = sem_seg

    def transform(self, tfm: Transform) -> None:
        """Replace every attribute that is there by its transformed version."""
        methods = {
            "image": tfm.apply_image,
            "boxes": tfm.apply_box,
            "sem_seg": tfm.apply_segmentation,
        }
        for name, apply in methods.items():
            if (value := getattr(self, name)) is not None:
                setattr(self, name, apply(value))

    def apply_augmentations(self, augmentations: Sequence[Augmentation | Transform]) -> Any:
        """Apply them in order; returns the `TransformList` that was used."""
        return AugmentationList(augmentations)(self)


class _Always(Augmentation):
    """The augmentation that is always one transform."""

    def __init__(self, tfm: Transform) -> None:
        self.tfm = tfm

    def get_transform(self, *args: Any) -> Transform:
        return self.tfm

    def __repr__(self) -> str:
        return repr(self.tfm)


class AugmentationList(Augmentation):
    """Augmentations in sequence; each sees the result of those before it.

    It can only be called: no transform can be named before the first parts are applied.
    """

    def __init__(self, augs: Sequence[Augmentation | Transform]) -> None:
        self.augs = [_as_augmentation(x) for x in augs]

    def __call__(self, aug_input: Any) -> TransformList:
        """Transform `aug_input` in place; returns all transforms, flattened."""
        return TransformList([aug(aug_input) for aug in self.augs])

    def __repr__(self) -> str:
        return f"AugmentationList[{', '.join(map(repr, self.augs))}]"


class RandomApply(Augmentation):
    """An augmentation or transform with probability `prob`, else nothing."""

    def __init__(self, tfm_or_aug: Augmentation | Transform, prob: float = 0.5) -> None:
        assert 0.0 <= prob <= 1.0, f"prob must be in [0, 1], got {prob}"
        self.aug = _as_augmentation(tfm_or_aug)
        self.prob = prob

    def __call__(self, aug_input: Any) -> Transform:
        return self.aug(aug_input) if self._rand_range() < self.prob else NoOpTransform()


def _as_augmentation(transform_or_augmentation: Augmentation | Transform) -> Augmentation:
    """An augmentation itself, or the one that always gives this transform."""
    if isinstance(transform_or_augmentation, Augmentation):
        return transform_or_augmentation
    assert isinstance(transform_or_augmentation, Transform), (
        f"expected an Augmentation or a Transform, got {transform_or_augmentation!r}"
    )
    return _Always(transform_or_augmentation)


def apply_augmentations(
    augmentations: Sequence[Augmentation | Transform], inputs: np.ndarray | AugInput
) -> tuple[np.ndarray | AugInput, TransformList]:
    """Augment an image array, or an `AugInput` in place; returns it with the transforms."""
    if isinstance(inputs, np.ndarray):
        wrapped = AugInput(inputs)
        transforms = wrapped.apply_augmentations(augmentations)
        return wrapped.image, transforms
    return inputs, inputs.apply_augmentations(augmentations)


def _wanted_attributes(augmentation: Augmentation) -> tuple[str, ...]:
    parameters = inspect.signature(augmentation.get_transform).parameters
    if len(parameters) == 1:
        return ("image",)
    for parameter in parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise TypeError(
                f"{type(augmentation)}.get_transform takes {parameter}: name its inputs one by "
                "one, or write your own __call__"
            )
    return tuple(parameters)

"""Zero-shot accuracy of a CLIP for classes and looks on held-out scenes."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from open_clip import CLIP
from torch import Tensor

from langdg_d2.modeling import TextEncoder
from langdg_d2.structures import CITYSCAPES_19
from streets.clip.appearances import LOOK_NAMES, LOOKS, WORLD_LOOKS, appear
from streets.clip.crops import Pool, PoolSettings, draw_look
from streets.clip.training import clip_normalization, embed_images, input_size
from streets.looks import LOOKS as RENDERED

_AT_ONCE = 128
UNNAMED = "unnamed"  # key of the results of unnamed looks


@torch.no_grad()
def zero_shot(
    clip: CLIP,
    *,
    clip_name: str,
    pool: Pool,
    crops_per_class: int,
    look_names: Sequence[str] = LOOK_NAMES,
    seed: int = 0,
) -> dict[str, Any]:
    """Measure accuracies and confusions of a CLIP, averaged over CLIP's 80 sentence templates.

    Classes are recognised by their plain names, looks by "<look> <class>" with the true class, and
    both together among all such texts, which are the targets of style mining.

    Args:
        clip, clip_name: CLIP in eval mode, and name or JSON path of its architecture.
        pool: held-out scenes.
        crops_per_class: maximum number of crops of each class in each look.
        look_names, seed: looks to distinguish, and seed of the crops.

    Returns:
        JSON types: `class_accuracy`, `look_accuracy`, `joint_accuracy` over all named looks, in
        0..1; `crops`, their number; `looks`, the same for each look, but only the class for unnamed
        looks; `classes`, accuracy by true class; `class_confusion` and `look_confusion`, counts
        with a row for each true class or look.
    """
    names = CITYSCAPES_19.names
    plain, full = _encode(TextEncoder(clip=clip, name=clip_name), look_names)
    class_confusion, look_confusion = (np.zeros((n, n), int) for n in map(len, (names, look_names)))
    per_look: dict[str, dict[str, float]] = {}
    for number, look in enumerate((*look_names, None)):
        rng = np.random.default_rng([seed, number])
        crops, truth = _draw(pool, look, crops_per_class, input_size(clip), rng)
        seen = _embed(clip, crops)
        guess = (seen @ plain.T).argmax(dim=1).numpy()
        result = {"crops": len(truth), "class_accuracy": float((guess == truth).mean())}
        if look is not None:
            np.add.at(class_confusion, (truth, guess), 1)
            look_guess, text_guess = _tell_looks(seen, full, truth)
            np.add.at(look_confusion[number], look_guess, 1)
            result["look_accuracy"] = float((look_guess == number).mean())
            result["joint_accuracy"] = float((text_guess == number * len(names) + truth).mean())
        per_look[look or UNNAMED] = result
    return {
        **_averages([per_look[look] for look in look_names]),
        "looks": per_look,
        "classes": dict(zip(names, _recalls(class_confusion), strict=True)),
        "class_confusion": class_confusion.tolist(),
        "look_confusion": look_confusion.tolist(),
    }


@torch.no_grad()
def rendered_accuracy(
    clip: CLIP, *, clip_name: str, settings: PoolSettings, crops_per_class: int
) -> dict[str, float]:
    """Measure the accuracy of classes, by their plain names, in each rendered look of streets.

    Args:
        clip, clip_name, crops_per_class: as for `zero_shot`.
        settings: settings of the scenes drawn in each look.
    """
    plain = TextEncoder(clip=clip, name=clip_name).encode(CITYSCAPES_19.names)
    accuracy = {}
    for look in RENDERED:
        rng = np.random.default_rng(settings.seed)
        pool = draw_look(look, settings)
        crops, truth = _cut(
            pool, (look,), crops_per_class, input_size(clip), rng, lambda crop: crop
        )
        guess = (_embed(clip, crops) @ plain.T).argmax(dim=1).numpy()
        accuracy[look] = float((guess == truth).mean())
    return accuracy


def _encode(text: TextEncoder, look_names: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Return vectors of plain classes (classes, D) and of classes in looks (looks, classes, D)."""
    names = CITYSCAPES_19.names
    full = text.encode([f"{look} {name}" for look in look_names for name in names])
    return text.encode(names), full.unflatten(0, (len(look_names), len(names)))


def _recalls(confusion: np.ndarray) -> list[float]:
    return (confusion.diagonal() / np.maximum(confusion.sum(axis=1), 1)).tolist()


def _tell_looks(seen: Tensor, full: Tensor, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the best look for the true class, and the flat index of the best of all texts."""
    scores = torch.einsum("nd,lcd->nlc", seen, full)
    of_class = scores[torch.arange(len(truth)), :, torch.from_numpy(truth)]
    return of_class.argmax(dim=1).numpy(), scores.flatten(1).argmax(dim=1).numpy()


def _averages(results: list[dict[str, float]]) -> dict[str, float]:
    crops = [result["crops"] for result in results]
    means = {
        key: float(np.average([result[key] for result in results], weights=crops))
        for key in ("class_accuracy", "look_accuracy", "joint_accuracy")
    }
    return means | {"crops": sum(crops)}


def _draw(
    pool: Pool, look: str | None, per_class: int, size: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw crops (M, size, size, 3) uint8 of every class in a look, and their classes (M,)."""
    bases = tuple(WORLD_LOOKS) if look is None else LOOKS[look].bases
    return _cut(pool, bases, per_class, size, rng, lambda crop: appear(crop, look, rng))


def _cut(
    pool: Pool,
    bases: tuple[str, ...],
    per_class: int,
    size: int,
    rng: np.random.Generator,
    change: Callable[[np.ndarray], np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """Cut and change crops of every class in rendered looks, and return them with their classes."""
    crops, truth = [], []
    for class_id in range(len(CITYSCAPES_19)):
        places = pool.of_class(class_id, bases)
        for place in places[rng.permutation(len(places))[:per_class]]:
            crops.append(change(pool.cut(place, size)))
            truth.append(class_id)
    return np.stack(crops), np.array(truth)


def _embed(clip: CLIP, crops: np.ndarray) -> Tensor:
    normalize = clip_normalization()
    images = torch.from_numpy(crops).permute(0, 3, 1, 2)
    return torch.cat(
        [embed_images(clip.visual, normalize(part)) for part in images.split(_AT_ONCE)]
    )

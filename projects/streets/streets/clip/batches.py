"""Batches for CLIP training: crops in looks, captions, and whether captions are true of crops."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from langdg_d2.modeling.backbone.clip_loading import load_tokenizer
from langdg_d2.structures import CITYSCAPES_19
from langdg_d2.utils.errors import LangDGError
from streets.clip.appearances import LOOK_NAMES, LOOKS, WORLD_LOOKS, appear
from streets.clip.captions import UNKNOWN, Meaning, draw_caption, meanings_of, truth
from streets.clip.crops import Pool, open_pool
from streets.draws import chance, pick


class Batch(NamedTuple):
    """Training data of a step.

    Attributes:
        images: (N, 3, S, S) uint8 RGB.
        tokens: tokens (T, context length) of distinct captions.
        truth: (N, T) int8, see `captions.truth`.
    """

    images: Tensor
    tokens: Tensor
    truth: Tensor


@dataclass(frozen=True, kw_only=True)
class BatchSettings:
    """Settings of batches.

    Attributes:
        images: number of images per batch.
        looks: number of named looks per batch; a small number, so that batches have captions that
            differ only in the class or only in the look.
        plain_share: share of images as rendered, with the class as the only caption.
        ramp: steps between which the share of plain images falls from 1 to `plain_share`. With
            strong looks from the start, classes are learned much more slowly.
        unnamed_share: share of the other images in unnamed looks.
        seed: seed of all draws.
    """

    images: int = 64
    looks: int = 12
    plain_share: float = 0.25
    ramp: tuple[int, int] = (0, 0)
    unnamed_share: float = 0.35
    seed: int = 0


class PlaceIndex:
    """Finds boxes of a pool by class and rendered look.

    Raises:
        LangDGError: if a rendered look shows no class.
    """

    def __init__(self, pool: Pool) -> None:
        self._places: dict[tuple[int, str], np.ndarray] = {}
        self._classes: dict[str, list[int]] = {base: [] for base in WORLD_LOOKS}
        for base in WORLD_LOOKS:
            for class_id in range(len(CITYSCAPES_19)):
                places = pool.of_class(class_id, (base,))
                if len(places):
                    self._places[class_id, base] = places
                    self._classes[base].append(class_id)
            if not self._classes[base]:
                raise LangDGError(f"the pool shows no class in '{base}'; it needs more scenes")

    def draw(self, base: str, rng: np.random.Generator) -> tuple[int, np.ndarray]:
        """Draw a class uniformly from those that occur, and scene and box number of an example."""
        class_id = pick(rng, self._classes[base])
        return class_id, pick(rng, self._places[class_id, base])

    def of_class(self, class_id: int, base: str) -> np.ndarray:
        """Return scene and box numbers (M, 2) of a class; M may be 0."""
        return self._places.get((class_id, base), np.empty((0, 2), int))


class Batches(Dataset[Batch]):
    """Reproducible batches by number, so that training can be resumed.

    Args:
        folder: folder of the pool.
        clip_name: name or JSON path of the architecture, for its tokenizer.
        settings: settings of batches.
        sizes: side of the crops by first step, such as `{0: 64, 1000: 96}`.
        steps: number of batches.
    """

    def __init__(
        self,
        *,
        folder: Path,
        clip_name: str,
        settings: BatchSettings,
        sizes: Mapping[int, int],
        steps: int,
    ) -> None:
        self._folder = folder
        self._clip_name = clip_name
        self._settings = settings
        self._sizes = sizes
        self._steps = steps

    # Opened in the process that uses it, because memory maps would be copied to it.
    @cached_property
    def _pool(self) -> Pool:
        return open_pool(self._folder)

    @cached_property
    def _index(self) -> PlaceIndex:
        return PlaceIndex(self._pool)

    @cached_property
    def _tokenizer(self):
        return load_tokenizer(name=self._clip_name)

    def _plain_share(self, step: int) -> float:
        start, end = self._settings.ramp
        done = min(max(step - start, 0) / max(end - start, 1), 1) if step < end else 1
        return 1 - done * (1 - self._settings.plain_share)

    def _draw(
        self, plain_share: float, chosen: list[int], size: int, rng: np.random.Generator
    ) -> tuple[int, int, np.ndarray]:
        """Draw class, look and crop of an image, whose look is one of the chosen or unknown."""
        plain = chance(rng, plain_share)
        unnamed = chance(rng, self._settings.unnamed_share)
        look = UNKNOWN if plain or unnamed else pick(rng, chosen)
        name = None if look == UNKNOWN else LOOK_NAMES[look]
        base = pick(rng, tuple(WORLD_LOOKS) if name is None else LOOKS[name].bases)
        class_id, place = self._index.draw(base, rng)
        crop = self._pool.cut(place, size, rng)
        return class_id, look, crop if plain else appear(crop, name, rng)

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, step: int) -> Batch:
        rng = np.random.default_rng([self._settings.seed, step])
        size = self._sizes[max(start for start in self._sizes if start <= step)]
        chosen = rng.choice(len(LOOK_NAMES), self._settings.looks, replace=False).tolist()
        shown, crops = [], []
        for _ in range(self._settings.images):
            class_id, look, crop = self._draw(self._plain_share(step), chosen, size, rng)
            crops.append(crop)
            shown.append(Meaning(class_id, look))
        said = meanings_of(shown)
        captions = [draw_caption(meaning, rng) for meaning in said]
        return Batch(
            images=torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2),
            tokens=self._tokenizer(captions),
            truth=torch.from_numpy(truth(shown, said)),
        )

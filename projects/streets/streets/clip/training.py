"""Contrastive training of the small CLIP, where several captions may be true of an image."""

import io
import math
import time
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import open_clip
import torch
import torch.nn.functional as F
from open_clip import CLIP
from open_clip.modified_resnet import ModifiedResNet
from open_clip.timm_model import TimmModel
from safetensors.torch import save
from timm.models import VisionTransformer
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from langdg_d2.modeling import PixelNormalization, load_clip
from langdg_d2.modeling.backbone.vit import take_any_size
from langdg_d2.utils.errors import LangDGError
from langdg_d2.utils.file_io import write_atomically
from streets.clip.batches import Batches, BatchSettings
from streets.clip.crops import start_worker

_MOST_LOGIT_SCALE = math.log(100)  # as in CLIP
_FIRST_DECAY_STEPS = 10  # makes the average forget the random initial weights quickly


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """Settings that, together with the pool, determine the trained weights.

    Attributes:
        steps: number of optimiser steps.
        lr: maximum learning rate, with a cosine decay to 0 after the warm-up.
        warmup: number of warm-up steps.
        weight_decay: weight decay of matrices and kernels, but not of token embeddings, most of
            which no caption uses.
        small_size, small_share: crop size in pixels for the first share of steps, for speed; later
            crops have the architecture's size.
        average_decay: decay of the running average of weights, which is the result.
        batches: settings of batches.
    """

    steps: int
    lr: float = 1.5e-3
    warmup: int = 200
    weight_decay: float = 0.05
    small_size: int = 64
    small_share: float = 0.8
    average_decay: float = 0.998
    batches: BatchSettings = field(default_factory=BatchSettings)


def contrastive_loss(similarity: Tensor, truth: Tensor) -> Tensor:
    """Compute the contrastive loss of true pairs against false ones of the same image or caption.

    With a single true caption for each image, this is CLIP's loss. True pairs do not compete with
    each other, and pairs of unknown truth are ignored.

    Args:
        similarity: similarity (N, T) of images and captions, divided by the temperature.
        truth: (N, T), 1 true, -1 false, 0 unknown.
    """
    return 0.5 * (_one_way(similarity, truth) + _one_way(similarity.T, truth.T))


def _one_way(similarity: Tensor, truth: Tensor) -> Tensor:
    against = similarity.masked_fill(truth >= 0, -math.inf).logsumexp(dim=1, keepdim=True)
    each = F.softplus(against - similarity).masked_fill(truth <= 0, 0)
    counts = (truth > 0).sum(dim=1)
    return (each.sum(dim=1) / counts.clamp(min=1))[counts > 0].mean()


def load_small_clip(name: str, weights: str | None) -> CLIP:
    """Load a CLIP for images of any size, in the memory layout that is faster on CPUs."""
    clip: CLIP = load_clip(name=name, weights=weights)
    trunk = getattr(clip.visual, "trunk", None)
    if isinstance(trunk, VisionTransformer):
        take_any_size(trunk)
    clip.visual.to(memory_format=torch.channels_last)
    return clip


def embed_images(tower: ModifiedResNet | TimmModel, images: Tensor) -> Tensor:
    """Return CLIP's unit embeddings (N, D) of normalised images of any size.

    Because attention pooling has positions only for the architecture's image size, other features
    are resized to it. Towers of timm pool features of any size.
    """
    if isinstance(tower, TimmModel):
        return F.normalize(tower(images), dim=1)
    features = tower.stem(images)
    for layer in (tower.layer1, tower.layer2, tower.layer3, tower.layer4):
        features = layer(features)
    side = math.isqrt(tower.attnpool.positional_embedding.shape[0] - 1)
    if features.shape[-2:] != (side, side):
        features = F.interpolate(features, size=(side, side), mode="bilinear")
    return F.normalize(tower.attnpool(features), dim=1)


def embed_texts(clip: CLIP, tokens: Tensor) -> Tensor:
    """Return CLIP's unit embeddings (T, D) of captions (T, context length).

    This equals `clip.encode_text`, but skips the padding after the longest caption, which has no
    effect because the text tower is causal.
    """
    ends = tokens.argmax(dim=1)  # the end token has the highest number
    length = int(ends.max()) + 1
    x = clip.token_embedding(tokens[:, :length]) + clip.positional_embedding[:length]
    x = clip.ln_final(clip.transformer(x, attn_mask=clip.attn_mask[:length, :length]))
    return F.normalize(x[torch.arange(len(x)), ends] @ clip.text_projection, dim=1)


def input_size(clip: CLIP) -> int:
    """Return the side of a CLIP's input images."""
    size = clip.visual.image_size
    return size if isinstance(size, int) else size[0]


def clip_normalization() -> PixelNormalization:
    """Return CLIP's normalisation of images in 0..255."""
    return PixelNormalization(
        mean=[255 * value for value in open_clip.OPENAI_DATASET_MEAN],
        std=[255 * value for value in open_clip.OPENAI_DATASET_STD],
    )


def learning_rate(settings: TrainSettings, step: int) -> float:
    """Return the learning rate: linear warm-up, then half a cosine to 0."""
    if step < settings.warmup:
        return settings.lr * (step + 1) / settings.warmup
    progress = (step - settings.warmup) / max(settings.steps - settings.warmup, 1)
    return settings.lr * 0.5 * (1 + math.cos(math.pi * progress))


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, *, decay: float, step: int) -> None:
    """Update a running average of weights and BatchNorm statistics in place."""
    decay = min(decay, step / (step + _FIRST_DECAY_STEPS))
    current = model.state_dict()
    for name, value in average.state_dict().items():
        if value.is_floating_point():
            value.lerp_(current[name], 1 - decay)
        else:
            value.copy_(current[name])


class ClipTrainer:
    """Trains a CLIP from random weights, and resumes interrupted training.

    Attributes:
        clip: model in training.
        average: running average of its weights.
        step: number of completed steps.
        seconds: training time over all runs.

    Args:
        clip_name: JSON path of the architecture.
        pool: folder of the scenes.
        settings: settings of the training.
        checkpoint: file for the state.
        workers: number of processes for batches.

    Raises:
        LangDGError: if the checkpoint has other settings.
    """

    def __init__(
        self,
        *,
        clip_name: str,
        pool: Path,
        settings: TrainSettings,
        checkpoint: Path,
        workers: int,
    ) -> None:
        self._settings = settings
        self._checkpoint = checkpoint
        self._workers = workers
        self.clip = load_small_clip(clip_name, None)
        self.average = deepcopy(self.clip)
        self._optimizer = _optimizer(self.clip, settings)
        self._normalize = clip_normalization()
        self.step = 0
        self.seconds = 0.0
        self._resume()
        self._batches = Batches(
            folder=pool,
            clip_name=clip_name,
            settings=settings.batches,
            sizes={0: settings.small_size}
            | {round(settings.small_share * settings.steps): input_size(self.clip)},
            steps=settings.steps,
        )

    def train(self, *, checkpoint_period: int = 200) -> CLIP:
        """Train to the end and return the averaged model, in eval mode.

        Args:
            checkpoint_period: number of steps between checkpoints.
        """
        self.clip.train()
        started = time.perf_counter() - self.seconds
        loader = DataLoader(
            self._batches,
            batch_size=None,
            sampler=range(self.step, self._settings.steps),
            num_workers=self._workers,
            worker_init_fn=start_worker,
        )
        with tqdm(
            total=self._settings.steps, initial=self.step, unit="step", desc="CLIP", disable=None
        ) as progress:
            for batch in loader:
                loss = self._train_step(*batch)
                progress.update()
                progress.set_postfix(loss=f"{loss:.3f}", refresh=False)
                if self.step % checkpoint_period == 0 or self.step == self._settings.steps:
                    self.seconds = time.perf_counter() - started
                    self._save()
        return self.average.eval()

    def _train_step(self, images: Tensor, tokens: Tensor, truth: Tensor) -> float:
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate(self._settings, self.step)
        normalized = self._normalize(images).contiguous(memory_format=torch.channels_last)
        seen = embed_images(self.clip.visual, normalized)
        said = embed_texts(self.clip, tokens)
        loss = contrastive_loss(self.clip.logit_scale.exp() * seen @ said.T, truth)
        self._optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.clip.parameters(), 1.0)
        self._optimizer.step()
        with torch.no_grad():
            self.clip.logit_scale.clamp_(max=_MOST_LOGIT_SCALE)
        self.step += 1
        update_average(self.average, self.clip, decay=self._settings.average_decay, step=self.step)
        return loss.item()

    def _save(self) -> None:
        buffer = io.BytesIO()
        torch.save(
            {
                "settings": asdict(self._settings),
                "step": self.step,
                "seconds": self.seconds,
                "clip": self.clip.state_dict(),
                "average": self.average.state_dict(),
                "optimizer": self._optimizer.state_dict(),
            },
            buffer,
        )
        write_atomically(self._checkpoint, buffer.getvalue())

    def _resume(self) -> None:
        if not self._checkpoint.is_file():
            return
        state: dict[str, Any] = torch.load(self._checkpoint, weights_only=True)
        wanted = asdict(self._settings)
        if state["settings"] != wanted:
            raise LangDGError(
                f"{self._checkpoint} was trained with {state['settings']}, expected {wanted}; "
                "delete it or choose another output folder"
            )
        self.clip.load_state_dict(state["clip"])
        self.average.load_state_dict(state["average"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = state["step"], state["seconds"]


def _optimizer(clip: CLIP, settings: TrainSettings) -> torch.optim.AdamW:
    named = list(clip.named_parameters())
    decayed = [p for name, p in named if p.ndim > 1 and "embedding" not in name]
    others = [p for name, p in named if p.ndim <= 1 or "embedding" in name]
    return torch.optim.AdamW(
        [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": others}],
        lr=settings.lr,
        betas=(0.9, 0.98),
        weight_decay=0.0,
        fused=True,
    )


def write_weights(path: Path, clip: CLIP) -> None:
    """Save weights as safetensors, with matrices and kernels in half precision."""
    state = {
        name: (value.half() if value.is_floating_point() and value.ndim > 1 else value).contiguous()
        for name, value in clip.state_dict().items()
    }
    write_atomically(path, save(state))

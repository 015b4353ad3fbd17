"""CLIP's text encoder for the prompts of style mining (paper section 4.2)."""

from collections.abc import Sequence

import open_clip
import torch
import torch.nn.functional as F
from open_clip import CLIP
from torch import Tensor

from ..utils.errors import LangDGError
from .backbone.clip_loading import load_tokenizer

# Sentences per batch of the text tower, which limits memory.
_SENTENCES_AT_ONCE = 320


class TextEncoder:
    """Encodes prompts with CLIP's text tower and caches the results.

    A prompt is inserted into each of CLIP's 80 ImageNet templates, such as "a photo of a {}."; its
    vector is the normalised mean of the embeddings of these sentences.

    NOTE: embeddings are averaged unnormalised, as in the official code. CLIP's zero-shot classifier
    normalises each embedding first, which gives other vectors.

    The encoder is not a module, so the state dict and `train()` of its owner do not include the
    text tower. CLIP's weights must not change after the first call; CLIP may move to another
    device.

    Args:
        clip: result of `load_clip`.
        name: the name or JSON path given to `load_clip`; selects the tokenizer.
    """

    def __init__(self, *, clip: CLIP, name: str) -> None:
        self._clip = clip
        self._tokenizer = load_tokenizer(name=name)
        self._templates = open_clip.OPENAI_IMAGENET_TEMPLATES
        self._vectors: dict[str, Tensor] = {}  # on the CPU

    def to(self, device: torch.device | str) -> None:
        """Move CLIP to a device."""
        self._clip.to(device)

    # Not inference_mode: mining backpropagates through a loss that contains these vectors.
    @torch.no_grad()
    def encode(self, prompts: Sequence[str]) -> Tensor:
        """Compute unit vectors (P, D) float32 of P prompts on CLIP's device, without gradients.

        Args:
            prompts: one or more texts without template; repetitions are free. D is the dimension
                of CLIP's embeddings.
        """
        new = [prompt for prompt in dict.fromkeys(prompts) if prompt not in self._vectors]
        at_once = max(1, _SENTENCES_AT_ONCE // len(self._templates))
        for start in range(0, len(new), at_once):
            batch = new[start : start + at_once]
            self._vectors.update(zip(batch, self._run(batch), strict=True))
        vectors = torch.stack([self._vectors[prompt] for prompt in prompts])
        return vectors.to(self._clip.logit_scale.device)

    def _run(self, prompts: Sequence[str]) -> Tensor:
        sentences = [template(prompt) for prompt in prompts for template in self._templates]
        tokens = self._tokenize(sentences).to(self._clip.logit_scale.device)
        embeddings = self._clip.encode_text(tokens).float()  # (P * templates, D)
        mean = embeddings.unflatten(0, (len(prompts), len(self._templates))).mean(dim=1)
        return F.normalize(mean, dim=1).cpu()

    def _tokenize(self, sentences: list[str]) -> Tensor:
        """Tokenize sentences to (S, context length) int64.

        The tokenizer silently truncates long sentences, which would cut off the class name. Only
        truncated sentences change if there is room for one more token.
        """
        length = self._tokenizer.context_length
        tokens = self._tokenizer(sentences)
        roomier = self._tokenizer(sentences, context_length=length + 1)[:, :length]
        cut = (tokens != roomier).any(dim=1).nonzero().flatten().tolist()
        if cut:
            raise LangDGError(
                f"'{sentences[cut[0]]}' is longer than the {length} tokens that the CLIP reads; "
                "shorten the style prompt"
            )
        return tokens

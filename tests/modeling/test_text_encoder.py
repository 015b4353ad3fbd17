"""Prompts to unit vectors: the ensemble of templates, the cache, and the architecture's traps."""

import json
from copy import deepcopy
from functools import partial
from pathlib import Path

import open_clip
import pytest
import torch

from langdg_d2.modeling import ClipWeightsError, load_clip
from langdg_d2.modeling.backbone.clip_loading import load_tokenizer
from langdg_d2.modeling.text_encoder import TextEncoder
from langdg_d2.utils.errors import LangDGError

PROMPTS = ["foggy road", "Silent Film style traffic light", "photo"]
TEMPLATES = ("a photo of a {}.".format, "graffiti of the {}.".format, "itap of my {}.".format)


@pytest.fixture
def clip(tiny_clip):
    return load_clip(name=tiny_clip, weights=None)


@pytest.fixture
def set_templates(monkeypatch):
    """Function that replaces CLIP's sentence templates."""
    return partial(monkeypatch.setattr, open_clip, "OPENAI_IMAGENET_TEMPLATES")


@pytest.fixture
def edited_config(tiny_clip, tmp_path):
    """Function that writes the tiny CLIP's config with other values under another name."""

    def write(name, text_cfg=(), **values):
        config = json.loads(Path(tiny_clip).read_text()) | values
        config["text_cfg"] |= dict(text_cfg)
        path = tmp_path / f"{name}-for-tests.json"
        path.write_text(json.dumps(config))
        return str(path)

    return write


def ensemble_one_by_one(clip, prompts, templates, *, normalise_first=False):
    """Each sentence on its own, in double precision."""
    clip = deepcopy(clip).double()
    tokenizer = open_clip.SimpleTokenizer()
    rows = []
    with torch.no_grad():
        for prompt in prompts:
            total = torch.zeros(clip.text_projection.shape[1], dtype=torch.float64)
            for template in templates:
                vector = clip.encode_text(tokenizer([template(prompt)]))[0]
                total += vector / vector.norm() if normalise_first else vector
            rows.append(total / total.norm())
    return torch.stack(rows)


class SentenceCount:
    """How many sentences a CLIP's text tower reads, by batch."""

    def __init__(self, clip):
        self.batches = []
        clip.token_embedding.register_forward_hook(
            lambda module, inputs, output: self.batches.append(len(inputs[0]))
        )


def test_vectors_are_the_normalised_mean_over_clips_80_templates(clip, tiny_clip):
    vectors = TextEncoder(clip=clip, name=tiny_clip).encode(PROMPTS)
    templates = open_clip.OPENAI_IMAGENET_TEMPLATES
    assert len(templates) == 80
    expected = ensemble_one_by_one(clip, PROMPTS, templates)
    torch.testing.assert_close(vectors.double(), expected, atol=1e-5, rtol=0)


def test_mean_is_taken_before_normalising(clip, tiny_clip, set_templates):
    set_templates(TEMPLATES)
    vectors = TextEncoder(clip=clip, name=tiny_clip).encode(PROMPTS).double()
    ours = ensemble_one_by_one(clip, PROMPTS, TEMPLATES)
    other = ensemble_one_by_one(clip, PROMPTS, TEMPLATES, normalise_first=True)
    torch.testing.assert_close(vectors, ours, atol=1e-6, rtol=0)
    assert (vectors - other).norm(dim=1).min() > 1e-3


def test_vectors_are_distinct_float32_of_length_one_whatever_the_precision_of_the_clip(
    clip, tiny_clip
):
    for model in (clip, deepcopy(clip).double()):
        vectors = TextEncoder(clip=model, name=tiny_clip).encode(PROMPTS)
        assert vectors.dtype == torch.float32
        torch.testing.assert_close(vectors.norm(dim=1), torch.ones(len(PROMPTS)))
        assert torch.pdist(vectors).min() > 1e-3


def test_text_tower_reads_each_prompt_once_in_batches_of_bounded_size(clip, tiny_clip):
    count = SentenceCount(clip)
    encoder = TextEncoder(clip=clip, name=tiny_clip)
    prompts = [f"style {k} road" for k in range(11)]
    first = encoder.encode([*prompts, *prompts[:3]])
    assert sum(count.batches) == 80 * len(prompts)
    assert len(count.batches) > 1
    assert max(count.batches) <= 320
    again = encoder.encode(prompts[::-1])
    assert sum(count.batches) == 80 * len(prompts)
    assert torch.equal(again, first[: len(prompts)].flip(0))
    assert torch.equal(first[len(prompts) :], first[:3])
    encoder.encode([prompts[0], "photo"])
    assert sum(count.batches) == 80 * (len(prompts) + 1)


def test_vector_of_a_prompt_is_independent_of_the_batch(clip, tiny_clip):
    together = TextEncoder(clip=clip, name=tiny_clip).encode(PROMPTS)
    encoder = TextEncoder(clip=clip, name=tiny_clip)
    for k in (2, 0, 1):
        torch.testing.assert_close(encoder.encode([PROMPTS[k]])[0], together[k])


def test_more_templates_than_fit_a_batch_still_make_one_mean(clip, tiny_clip, set_templates):
    set_templates(TEMPLATES)
    few = TextEncoder(clip=clip, name=tiny_clip).encode(PROMPTS)
    set_templates(TEMPLATES * 110)
    many = TextEncoder(clip=clip, name=tiny_clip).encode(PROMPTS)
    torch.testing.assert_close(many, few)


def test_returned_vectors_are_the_callers_to_change(clip, tiny_clip):
    encoder = TextEncoder(clip=clip, name=tiny_clip)
    first = encoder.encode(PROMPTS)
    kept = first.clone()
    first.zero_()
    assert torch.equal(encoder.encode(PROMPTS), kept)


def test_width_is_that_of_the_architecture(edited_config):
    for width in (24, 40):
        name = edited_config(f"width-{width}", embed_dim=width)
        encoder = TextEncoder(clip=load_clip(name=name, weights=None), name=name)
        assert encoder.encode(PROMPTS).shape == (len(PROMPTS), width)


def test_quick_gelu_changes_the_vectors_and_is_what_the_openai_entries_have(
    clip, tiny_clip, edited_config, tmp_path
):
    torch.save(clip.state_dict(), tmp_path / "clip.pt")
    plain = edited_config("plain-gelu", quick_gelu=False)
    encoders = [
        TextEncoder(clip=load_clip(name=name, weights=str(tmp_path / "clip.pt")), name=name)
        for name in (tiny_clip, plain)
    ]
    quick, gelu = (encoder.encode(PROMPTS) for encoder in encoders)
    assert (quick - gelu).norm(dim=1).min() > 1e-4
    for backbone in ("RN50", "RN101"):
        assert open_clip.get_model_config(f"{backbone}-quickgelu")["quick_gelu"]
        assert not open_clip.get_model_config(backbone).get("quick_gelu", False)


def test_vectors_carry_no_gradient_and_serve_in_a_loss_that_does(clip, tiny_clip):
    vectors = TextEncoder(clip=clip, name=tiny_clip).encode(PROMPTS)
    assert not vectors.requires_grad
    images = torch.rand(vectors.shape, requires_grad=True)
    torch.cosine_similarity(vectors, images).sum().backward()
    assert 0 < images.grad.abs().sum() < torch.inf
    assert all(parameter.grad is None for parameter in clip.parameters())


def test_sentence_that_fills_the_context_passes_and_a_longer_one_is_refused(
    edited_config, set_templates
):
    set_templates([str])
    # Start, three words, end: five tokens.
    name = edited_config("short-context", text_cfg={"context_length": 5})
    encoder = TextEncoder(clip=load_clip(name=name, weights=None), name=name)
    assert encoder.encode(["foggy traffic light"]).shape[0] == 1
    with pytest.raises(
        LangDGError, match=r"'very foggy traffic light' is longer than the 5 tokens"
    ):
        encoder.encode(["foggy road", "very foggy traffic light"])


def test_tokenizer_is_the_one_of_the_architecture(edited_config):
    name = edited_config("context-9", text_cfg={"context_length": 9})
    tokens = load_tokenizer(name=name)(["foggy road"])
    assert tokens.tolist() == open_clip.SimpleTokenizer()(["foggy road"], 9).tolist()
    assert load_tokenizer(name="RN50-quickgelu").context_length == 77
    with pytest.raises(ClipWeightsError, match="'RN49' is neither an open_clip architecture"):
        load_tokenizer(name="RN49")

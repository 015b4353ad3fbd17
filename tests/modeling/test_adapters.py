"""Adapters against their published formulas, on small random vision transformers of timm."""

import io
import math
from copy import deepcopy

import pytest
import torch
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from langdg_d2.modeling.backbone.adapters import LoRA, Rein, SoMA, merge
from langdg_d2.utils.errors import LangDGError

SIZE = {"img_size": 24, "patch_size": 8, "embed_dim": 24, "depth": 3, "num_heads": 3}
TRUNKS = {
    "vit": lambda: VisionTransformer(**SIZE, init_values=1.0, reg_tokens=2, num_classes=0),
    # As of EVA02-B: one layer for q, k and v, whose bias is the attention's.
    "eva_joined": lambda: Eva(**SIZE, use_rot_pos_emb=True, num_classes=0),
    # As of EVA02-L.
    "eva_split": lambda: Eva(
        **SIZE,
        qkv_fused=False,
        swiglu_mlp=True,
        scale_mlp=True,
        use_rot_pos_emb=True,
        num_classes=0,
    ),
}
ADAPTERS = {
    "lora": lambda: LoRA(rank=4, alpha=8),
    "soma": lambda: SoMA(rank=4, blocks=[1, 2]),
    "released": lambda: SoMA(rank=4, blocks=[1, -1], start="released"),
    "rein": lambda: Rein(tokens=7, rank=4),
}


@pytest.fixture(params=TRUNKS)
def trunk(request) -> nn.Module:
    return random_trunk(request.param)


@pytest.fixture(params=ADAPTERS)
def adapter(request):
    return ADAPTERS[request.param]()


def random_trunk(kind: str) -> nn.Module:
    """In eval mode, with no weight or bias that is special."""
    trunk = TRUNKS[kind]().eval()
    for name, parameter in trunk.named_parameters():
        center = 1.0 if "norm" in name or "gamma" in name else 0.0
        nn.init.normal_(
            parameter, center, 0.1 if parameter.ndim < 2 else parameter.shape[-1] ** -0.5
        )
    return trunk


def images() -> torch.Tensor:
    return torch.randn(2, 3, 24, 24, generator=torch.Generator().manual_seed(0))


def tokens(trunk: nn.Module) -> torch.Tensor:
    return trunk.forward_features(images())


def stir(trunk: nn.Module) -> None:
    """Give everything that trains other values."""
    for parameter in trunk.parameters():
        if parameter.requires_grad:
            parameter.data += 0.1 * torch.randn_like(parameter)


def low_rank(weight, a, b, scale):
    """W + scale B A, where A and B are those of each of the weights joined in W."""
    rows = [
        piece + scale * bk @ ak for piece, ak, bk in zip(weight.chunk(len(a)), a, b, strict=True)
    ]
    return torch.cat(rows)


def difference(one, other) -> float:
    return (one - other).abs().max().item()


@pytest.mark.parametrize("kind", ["lora", "soma"])
def test_low_rank_adapters_start_at_the_tower(trunk, kind):
    expected = tokens(trunk)
    ADAPTERS[kind]().attach(trunk)
    assert difference(tokens(trunk), expected) <= 1e-5


def test_rein_without_scale_is_the_tower(trunk):
    expected = tokens(trunk)
    Rein(tokens=7, rank=4, scale=0.0).attach(trunk)
    assert torch.equal(tokens(trunk), expected)


def test_lora_adds_its_product_to_each_weight(trunk):
    plain = deepcopy(trunk)
    LoRA(rank=4, alpha=8).attach(trunk)
    stir(trunk)
    state = trunk.state_dict()
    for name, layer in plain.named_modules():
        if isinstance(layer, nn.Linear):
            parts = (state[f"{name}.lora_a"], state[f"{name}.lora_b"])
            assert len(parts[0]) == (3 if name.endswith("qkv") else 1)
            layer.weight.data = low_rank(layer.weight, *parts, 8 / 4)
    assert difference(tokens(trunk), tokens(plain)) <= 1e-5


def test_lora_starts_as_torch_starts_linears():
    trunk = random_trunk("vit")
    LoRA(rank=8).attach(trunk)
    for name, parameter in trunk.named_parameters():
        if name.endswith("lora_b"):
            assert not parameter.any()
        if name.endswith("lora_a"):
            bound = parameter.shape[-1] ** -0.5  # kaiming with a = sqrt(5)
            assert 0.9 * bound < parameter.abs().max() <= bound


@pytest.mark.parametrize("kind", ["soma", "released"])
def test_soma_trains_the_smallest_components(trunk, kind):
    plain = deepcopy(trunk)
    ADAPTERS[kind]().attach(trunk)
    start = {name: value.clone() for name, value in trunk.state_dict().items()}
    stir(trunk)
    state = trunk.state_dict()
    for name, value in plain.named_parameters():
        if name.endswith("bias"):  # of adapted layers they train
            value.data = state[name].clone()
    adapted = 0
    for name, layer in plain.named_modules():
        if not isinstance(layer, nn.Linear) or name.startswith("blocks.0"):
            continue
        adapted += 1
        a, b = state[f"{name}.lora_a"], state[f"{name}.lora_b"]
        a0, b0 = start[f"{name}.lora_a"], start[f"{name}.lora_b"]
        joined = 3 if name.endswith("qkv") else 1
        assert len(a) == joined
        if kind == "soma":
            for piece, ak, bk in zip(layer.weight.chunk(joined), a0, b0, strict=True):
                u, s, vh = torch.linalg.svd(piece)
                minor = sum(s[k] * u[:, k, None] @ vh[None, k] for k in range(len(s) - 4, len(s)))
                assert difference(bk @ ak, minor) <= 1e-5
                assert difference(bk.T @ bk, torch.diag(s[-4:])) <= 1e-5
                assert difference(ak @ ak.T, torch.diag(s[-4:])) <= 1e-5
            layer.weight.data = low_rank(layer.weight, a0, b0, -1.0)
        layer.weight.data = low_rank(layer.weight, a, b, 1.0)
    assert adapted == 2 * sum(isinstance(m, nn.Linear) for m in plain.blocks[0].modules())
    assert difference(tokens(trunk), tokens(plain)) <= 2e-5


def test_soma_trains_the_biases_of_its_layers(trunk):
    SoMA(rank=2, blocks=[2]).attach(trunk)
    training = {n for n, p in trunk.named_parameters() if p.requires_grad}
    layers = {n for n, m in trunk.named_modules() if isinstance(m, nn.Linear)}
    layers = {name for name in layers if name.startswith("blocks.2")}
    expected = {f"{name}.{part}" for name in layers for part in ("lora_a", "lora_b", "bias")}
    expected |= {f"blocks.2.attn.{part}_bias" for part in "qv"}
    assert training == expected & {name for name, _ in trunk.named_parameters()}


def test_the_released_start_decomposes_a_random_weight():
    trunk = nn.Module()
    trunk.blocks = nn.ModuleList([nn.Sequential(nn.Linear(64, 48))])
    weight = trunk.blocks[0][0].weight.detach().clone()
    torch.manual_seed(5)
    SoMA(rank=4, start="released").attach(trunk)
    torch.manual_seed(5)
    u, s, vh = torch.linalg.svd(nn.init.trunc_normal_(torch.empty(48, 64), std=0.02))
    minor = u[:, 44:48] * s[44:] @ vh[44:48]
    merge(trunk)
    assert difference(trunk.blocks[0][0].weight, weight + minor) <= 1e-6


def test_released_starts_follow_the_seed(trunk):
    copy = deepcopy(trunk)
    for one in (trunk, copy):
        torch.manual_seed(3)
        SoMA(rank=2, start="released").attach(one)
    assert all(
        torch.equal(x, y) for x, y in zip(trunk.parameters(), copy.parameters(), strict=True)
    )


def test_rein_is_its_equations_in_loops(trunk):
    plain = deepcopy(trunk)
    Rein(tokens=7, rank=4, scale=0.5).attach(trunk)
    stir(trunk)
    rein, prefix = trunk.rein, trunk.num_prefix_tokens
    scale = rein.scale.item()

    def refine(layer, output):
        learned = rein.token_a[layer] @ rein.token_b[layer]
        refined = output.clone()
        for n in range(output.shape[0]):
            for k in range(prefix, output.shape[1]):
                f = output[n, k]
                weights = [math.exp(float(f @ t) / math.sqrt(24)) for t in learned]
                delta = torch.zeros(24)
                for j in range(1, 7):
                    delta += weights[j] / sum(weights) * rein.token_projection(learned[j])
                refined[n, k] = f + scale * rein.feature_projection(delta + f)
        return refined

    for layer, block in enumerate(plain.blocks):
        block.register_forward_hook(lambda _, __, output, layer=layer: refine(layer, output))
    with torch.no_grad():
        assert difference(tokens(trunk), tokens(plain)) <= 1e-5


def test_rein_starts_within_its_bound():
    trunk = random_trunk("vit")
    Rein().attach(trunk)
    bound = math.sqrt(6 / (3 * 8 * 8 + math.sqrt(24 * 16)))
    for factor in (trunk.rein.token_a, trunk.rein.token_b):
        assert 0.95 * bound < factor.abs().max() <= bound
    assert trunk.rein.scale.item() == pytest.approx(0.001)


def test_parameter_counts_have_closed_forms():
    with torch.device("meta"):
        large = {"img_size": 512, "patch_size": 16, "embed_dim": 1024, "depth": 24, "num_heads": 16}
        trunks = [VisionTransformer(**large, num_classes=0) for _ in range(3)]

    def trained(trunk):
        return sum(p.numel() for p in trunk.parameters() if p.requires_grad)

    Rein().attach(trunks[0])
    link = (1024 * 256 + 256) + (768 * 256 + 256)
    assert trained(trunks[0]) == 24 * 16 * (100 + 1024) + 2 * (1024 * 1024 + 1024) + 1
    assert trained(trunks[0]) + link == 2_990_081  # published as 2.99 million
    LoRA(rank=32, modules=["qkv"]).attach(trunks[1])
    assert trained(trunks[1]) == 24 * 3 * 32 * 2 * 1024
    SoMA(rank=16, start="released", blocks=range(8, 24)).attach(trunks[2])
    inputs_and_outputs = 4 * (1024 + 1024) + 2 * (1024 + 4096)
    biases = 3 * 1024 + 1024 + 4096 + 1024
    assert trained(trunks[2]) == 16 * (16 * inputs_and_outputs + biases)


def test_training_changes_the_adapter_alone(trunk, adapter):
    adapter.attach(trunk)
    before = {name: value.clone() for name, value in trunk.state_dict().items()}
    training = [p for p in trunk.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(training, lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        tokens(trunk).square().mean().backward()
        optimizer.step()
    after = trunk.state_dict()
    changed = {name for name, value in before.items() if not torch.equal(after[name], value)}
    assert changed == {n for n, p in trunk.named_parameters() if p.requires_grad}
    assert all(p.grad is None for p in trunk.parameters() if not p.requires_grad)


def test_names_of_the_tower_stay(trunk, adapter):
    plain = trunk.state_dict()
    adapter.attach(trunk)
    state = trunk.state_dict()
    assert all(torch.equal(state[name], value) for name, value in plain.items())
    trunk.load_state_dict({name: value + 1 for name, value in plain.items()}, strict=False)


def test_copies_and_states_compute_the_same(trunk, adapter):
    empty = deepcopy(trunk)
    adapter.attach(trunk)
    stir(trunk)
    copy = deepcopy(trunk)
    adapter.attach(empty)
    empty.load_state_dict(trunk.state_dict())
    file = io.BytesIO()
    torch.save(trunk, file)
    file.seek(0)
    pickled = torch.load(file, weights_only=False)
    expected = tokens(trunk)
    stir(trunk)  # the copies have parts of their own
    assert difference(tokens(trunk), expected) > 1e-3
    for other in (copy, empty, pickled):
        assert torch.equal(tokens(other), expected)


@pytest.mark.parametrize("kind", ["lora", "soma", "released"])
def test_merged_towers_are_plain_and_equal(trunk, kind):
    names = set(trunk.state_dict())
    ADAPTERS[kind]().attach(trunk)
    stir(trunk)
    expected = tokens(trunk)
    merge(trunk)
    assert difference(tokens(trunk), expected) <= 1e-5
    assert set(trunk.state_dict()) == names
    assert not any(p.requires_grad for p in trunk.parameters())
    ADAPTERS[kind]().attach(trunk)  # as to any plain tower


def test_rein_is_not_merged(trunk):
    Rein(tokens=7, rank=4).attach(trunk)
    with pytest.raises(LangDGError, match="Rein cannot be merged"):
        merge(trunk)


def test_mixed_precision_follows_full_precision(trunk, adapter):
    adapter.attach(trunk)
    expected = tokens(trunk)
    with torch.autocast("cpu", torch.bfloat16):
        found = tokens(trunk)
    assert difference(found, expected) < 0.02 * expected.abs().max()


def test_blocks_and_modules_are_chosen(trunk):
    name = next(n for n, _ in trunk.blocks[0].attn.named_children() if n.startswith("q"))
    LoRA(rank=2, modules=[name, "fc2"], blocks=[0, -1]).attach(trunk)
    training = {n.rpartition(".")[0] for n, p in trunk.named_parameters() if p.requires_grad}
    assert training == {
        f"blocks.{k}.{part}" for k in (0, 2) for part in (f"attn.{name}", "mlp.fc2")
    }


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LoRA(rank=2, modules=["to_q"]), r"\['to_q'\] .* expected some of .*'proj'"),
        (lambda: LoRA(rank=2, blocks=[3]), r"\[3\], expected some of 0 to 2"),
        (lambda: LoRA(rank=2, blocks=[]), r"\[\], expected some of 0 to 2"),
        (lambda: LoRA(rank=0), "rank of LoRA is 0"),
        (lambda: SoMA(rank=25), "rank of the adapter is 25, expected .* from 1 to 24"),
        (lambda: SoMA(start="major"), "start of SoMA is 'major', expected one of"),
        (lambda: Rein(tokens=1), "tokens of Rein is 1"),
    ],
)
def test_settings_out_of_range_are_refused(trunk, make, message):
    with pytest.raises(LangDGError, match=message):
        make().attach(trunk)


def test_a_second_adapter_is_refused(trunk, adapter):
    adapter.attach(trunk)
    with pytest.raises(LangDGError, match="already has an adapter"):
        adapter.attach(trunk)


def test_other_towers_are_refused(adapter):
    with pytest.raises(LangDGError, match="Sequential has no transformer blocks"):
        adapter.attach(nn.Sequential(nn.Linear(2, 2)))

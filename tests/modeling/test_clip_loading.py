"""CLIP weights from every kind of file users bring, and clear words about those that fail."""

import argparse
import hashlib
import json
import logging
import re
import socket
import zipfile
from pathlib import Path

import huggingface_hub
import open_clip
import pytest
import torch
from safetensors.torch import save_file

from langdg_d2.modeling import (
    ClipWeightsError,
    checkpoint_files,
    load_clip,
    load_embedding_clip,
    load_image_tower,
)
from langdg_d2.modeling.checkpoint_files import CheckpointError, read_checkpoint
from langdg_d2.utils.errors import LangDGError


@pytest.fixture
def clip(tiny_clip):
    return load_clip(name=tiny_clip, weights=None)


@pytest.fixture
def publish(monkeypatch):
    """Makes a file one of those that OpenAI publishes."""

    def published(path):
        checksum = hashlib.sha256(path.read_bytes()).hexdigest()
        monkeypatch.setattr(checkpoint_files, "_openai_checksums", lambda: {checksum})

    return published


def save_safetensors(model, path):
    save_file({k: v.contiguous().clone() for k, v in model.state_dict().items()}, path)


def save_state_dict(model, path):
    torch.save(model.state_dict(), path)


def save_training_checkpoint(model, path):
    # As open_clip's training writes it: nested, and with the prefix of DistributedDataParallel.
    torch.save({"state_dict": {f"module.{k}": v for k, v in model.state_dict().items()}}, path)


def save_torchscript(model, path):
    # As OpenAI publishes it: an archive whose state dict also holds three scalars.
    torch.jit.save(torch.jit.script(_StateHolder(model)), path)


class _StateHolder(torch.nn.Module):
    """Holds a model's tensors under their names below one another, and runs nothing."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        tree: dict = {}
        for key, value in model.state_dict().items():
            *path, leaf = key.split(".")
            node = tree
            for part in path:
                node = node.setdefault(part, {})
            node[leaf] = value
        for name in ("input_resolution", "context_length", "vocab_size"):
            tree[name] = torch.tensor(1)
        _fill(self, tree)


def _fill(module: torch.nn.Module, tree: dict) -> None:
    for name, value in tree.items():
        if isinstance(value, dict):
            child = torch.nn.Module()
            _fill(child, value)
            module.add_module(name, child)
        else:
            module.register_buffer(name, value)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize(
    ("save", "file_name"),
    [
        (save_safetensors, "clip.safetensors"),
        (save_state_dict, "clip.pt"),
        (save_training_checkpoint, "epoch_1.pt"),
        (save_torchscript, "RN50.pt"),
    ],
)
def test_weights_come_back_bit_for_bit_from_every_kind_of_file(
    clip, tiny_clip, tmp_path, save, file_name, publish
):
    save(clip, str(tmp_path / file_name))
    publish(tmp_path / file_name)
    loaded = load_clip(name=tiny_clip, weights=str(tmp_path / file_name))
    for key, value in clip.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value), key
    assert not loaded.training


def test_image_tower_is_the_clips_own(clip, tiny_clip, tmp_path):
    save_safetensors(clip, tmp_path / "clip.safetensors")
    tower = load_image_tower(name=tiny_clip, weights=str(tmp_path / "clip.safetensors"))
    images = torch.rand(2, 3, 64, 64)
    assert torch.equal(tower(images), clip.encode_image(images))


def test_loaded_weights_are_not_called_missing(clip, tiny_clip, tmp_path, caplog):
    save_safetensors(clip, tmp_path / "clip.safetensors")
    load_image_tower(name=tiny_clip, weights=str(tmp_path / "clip.safetensors"))
    assert not caplog.records
    logging.warning("No pretrained weights loaded for another model")
    assert len(caplog.records) == 1


def test_random_weights_are_always_the_same(tiny_clip):
    before = torch.random.get_rng_state()
    first = load_image_tower(name=tiny_clip, weights=None)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.rand(1)
    second = load_image_tower(name=tiny_clip, weights=None)
    assert torch.equal(first.conv1.weight, second.conv1.weight)
    assert first.conv1.weight.std() > 0


def test_unknown_architecture_lists_the_resnets_there_are(tmp_path):
    message = r"'RN49' is neither an open_clip architecture.*RN50-quickgelu"
    with pytest.raises(ClipWeightsError, match=message):
        load_clip(name="RN49", weights=None)
    missing = str(tmp_path / "missing.json")
    with pytest.raises(ClipWeightsError, match=re.escape(f"'{missing}' does not exist")):
        load_clip(name=missing, weights=None)


def test_unknown_keys_of_a_model_config_are_named(tmp_path):
    path = tmp_path / "odd-for-tests.json"
    path.write_text(json.dumps(open_clip.get_model_config("RN50") | {"preprocess_cfg": {}}))
    with pytest.raises(
        ClipWeightsError, match=r"'odd-for-tests': .*preprocess_cfg.* of open_clip's RN50.json"
    ):
        load_clip(name=str(path), weights=None)


def test_vision_transformer_is_refused(tmp_path):
    config = open_clip.get_model_config("ViT-B-32")
    config["vision_cfg"] |= {"layers": 1, "width": 64}
    config["text_cfg"] |= {"layers": 1, "width": 8, "heads": 1}
    path = tmp_path / "tiny-vit-for-tests.json"
    path.write_text(json.dumps(config))
    with pytest.raises(LangDGError, match=r"is a VisionTransformer, expected a ModifiedResNet or"):
        load_embedding_clip(name=str(path), weights=None, restyled_layer="layer1")


def test_unknown_weights_name_the_tags_and_ask_for_a_file():
    with pytest.raises(ClipWeightsError, match=r"neither a file nor a tag.*'openai'.*\.pt or"):
        load_clip(name="RN50-quickgelu", weights="no-such-tag")


def test_failed_download_says_which_file_to_pass(monkeypatch):
    def no_network(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr(open_clip, "download_pretrained", no_network)
    message = r"could not download the 'openai' weights of 'RN50-quickgelu' from .*pass its path"
    with pytest.raises(ClipWeightsError, match=message):
        load_clip(name="RN50-quickgelu", weights="openai")


def test_without_permission_nothing_is_downloaded_and_the_switch_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    asked = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **_: asked.append(args))
    monkeypatch.setattr(socket.socket, "connect", lambda *args: asked.append(args))
    message = r"the 'openai' weights .* HF_HUB_OFFLINE .* as model\.backbone\.tower\.weights"
    with pytest.raises(ClipWeightsError, match=message):
        load_clip(name="RN50-quickgelu", weights="openai")
    assert not asked


@pytest.mark.parametrize("load", [load_clip, load_image_tower])
@pytest.mark.parametrize("name", ["RN50", "RN101"])
def test_openai_weights_without_quick_gelu_are_refused_naming_the_entry_that_has_it(load, name):
    message = (
        rf"'openai' were trained with QuickGELU, but '{name}' does not use it; use '{name}-quickg"
    )
    with pytest.raises(ClipWeightsError, match=message):
        load(name=name, weights="openai")


def test_file_for_an_entry_without_quick_gelu_gets_a_warning(tmp_path, caplog):
    path = tmp_path / "clip.pt"
    path.write_bytes(b"")
    for name in ("RN50-quickgelu", "RN50"):
        with pytest.raises(ClipWeightsError, match="cannot be read"):
            load_clip(name=name, weights=str(path))
    (warning,) = [r.getMessage() for r in caplog.records if "QuickGELU" in r.getMessage()]
    assert warning.startswith("CLIP 'RN50' has no QuickGELU")
    assert warning.endswith("use 'RN50-quickgelu' for them")


def test_own_models_without_quick_gelu_get_the_warning_too(tiny_clip, tmp_path, caplog):
    own = tmp_path / "own-model-without-quick-gelu.json"
    own.write_text(json.dumps(json.loads(Path(tiny_clip).read_text()) | {"quick_gelu": False}))
    (tmp_path / "clip.pt").write_bytes(b"")
    for name in (tiny_clip, str(own)):
        with pytest.raises(ClipWeightsError, match="cannot be read"):
            load_clip(name=name, weights=str(tmp_path / "clip.pt"))
    (warning,) = [r.getMessage() for r in caplog.records if "QuickGELU" in r.getMessage()]
    assert "'own-model-without-quick-gelu' has no QuickGELU" in warning
    assert '"quick_gelu": true' in warning


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"not weights", b"PK\x03\x04 half a zip"])
def test_unreadable_file_is_named(tiny_clip, tmp_path, suffix, content):
    path = tmp_path / f"broken{suffix}"
    path.write_bytes(content)
    with pytest.raises(ClipWeightsError, match=rf"broken{suffix}' cannot be read as CLIP weights"):
        load_clip(name=tiny_clip, weights=str(path))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_an_archive_with_one_wrong_bit_in_its_table_is_named(clip, tiny_clip, tmp_path):
    path = tmp_path / "flipped.pt"
    save_torchscript(clip, str(path))
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02")] ^= 1
    path.write_bytes(data)
    with pytest.raises(ClipWeightsError, match=r"flipped\.pt' cannot be read .*damaged"):
        load_clip(name=tiny_clip, weights=str(path))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("save", [save_state_dict, save_torchscript])
def test_one_wrong_bit_of_a_weight_is_noticed(clip, tiny_clip, tmp_path, save, publish):
    path = tmp_path / "flipped.pt"
    save(clip, str(path))
    publish(path)
    data = bytearray(path.read_bytes())
    weight = clip.visual.layer1[0].conv1.weight
    data[data.index(weight.detach().numpy().tobytes())] ^= 1
    path.write_bytes(data)
    with pytest.raises(
        ClipWeightsError, match=r"flipped\.pt' cannot be read .*(?i:checksum|sha-256)"
    ):
        load_clip(name=tiny_clip, weights=str(path))


@pytest.mark.parametrize("content", [[torch.ones(1)], {1: torch.ones(1)}, {"state_dict": None}])
def test_what_is_no_state_dict_is_named(tiny_clip, tmp_path, content):
    torch.save(content, tmp_path / "list.pt")
    with pytest.raises(ClipWeightsError, match=r"list\.pt' do not fit .*: no weight name matches"):
        load_clip(name=tiny_clip, weights=str(tmp_path / "list.pt"))


def test_pickle_that_would_run_code_is_refused_and_does_not_run(tiny_clip, tmp_path):
    class Payload:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    torch.save({"state_dict": Payload()}, tmp_path / "evil.pt")
    with pytest.raises(ClipWeightsError, match=r"evil\.pt' cannot be read"):
        load_clip(name=tiny_clip, weights=str(tmp_path / "evil.pt"))
    assert not (tmp_path / "ran").exists()


class _Writing(torch.nn.Module):
    """Writes a file when torch loads it."""

    def __init__(self, file: str) -> None:
        super().__init__()
        self.file = file

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x

    @torch.jit.export
    def __getstate__(self) -> tuple[str, bool]:
        return self.file, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]) -> None:
        self.file = state[0]
        self.training = state[1]
        torch.save(torch.zeros(1), self.file)


def test_an_archive_that_would_run_code_is_refused_and_does_not_run(tiny_clip, tmp_path):
    torch.jit.save(torch.jit.script(_Writing(str(tmp_path / "ran"))), tmp_path / "evil.pt")
    (tmp_path / "ran").unlink(missing_ok=True)
    torch.jit.load(tmp_path / "evil.pt")
    assert (tmp_path / "ran").exists()  # so it does when torch itself loads it
    (tmp_path / "ran").unlink()
    words = r"evil\.pt' cannot be read .*TorchScript .*SHA-256 .* not that of an archive of OpenAI"
    with pytest.raises(ClipWeightsError, match=words):
        load_clip(name=tiny_clip, weights=str(tmp_path / "evil.pt"))
    with pytest.raises(CheckpointError, match=r"evil\.pt' cannot be read"):
        read_checkpoint(tmp_path / "evil.pt")
    assert not (tmp_path / "ran").exists()


def test_an_archive_that_unpacks_into_all_memory_is_refused(tiny_clip, tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("clip/data.pkl", bytes(1 << 27))
    assert (tmp_path / "bomb.pt").stat().st_size < 1 << 20
    with pytest.raises(ClipWeightsError, match=r"bomb\.pt' .*unpack into 134,217,728"):
        load_clip(name=tiny_clip, weights=str(tmp_path / "bomb.pt"))
    with pytest.raises(CheckpointError, match=r"bomb\.pt' .*unpack into 134,217,728"):
        read_checkpoint(tmp_path / "bomb.pt")


def nested(state, *, place=(), prefix=""):
    """A state dict as training scripts save it, with the names' prefix, under places."""
    content = {prefix + name: value for name, value in state.items()}
    for name in place:
        content = {name: content, "epoch": 3, "args": argparse.Namespace(lr=0.1, out=Path("x"))}
    return content


def trained(clip):
    """Weights that no random start gives, and none of them special."""
    return {name: torch.rand_like(v.float()).to(v) for name, v in clip.state_dict().items()}


PLACES = [
    ((), "module."),
    ((), "clip_model."),
    (("state_dict",), ""),
    (("state_dict",), "model."),  # Lightning
    (("model",), "module.clip."),
    (("model_ema",), "module."),
    (("state_dict_ema", "ema"), ""),
]


@pytest.mark.parametrize(("place", "prefix"), PLACES)
def test_weights_are_found_by_their_names(clip, tiny_clip, tmp_path, place, prefix):
    state = trained(clip)
    torch.save(nested(state, place=place, prefix=prefix), tmp_path / "best.pth.tar")
    loaded = load_clip(name=tiny_clip, weights=str(tmp_path / "best.pth.tar")).state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in state.items())


@pytest.mark.parametrize("name", ["0123abcd", "weights.pt", "weights.bin"])
def test_safetensors_are_known_by_their_content(clip, tiny_clip, tmp_path, name):
    save_safetensors(clip, tmp_path / name)
    loaded = load_clip(name=tiny_clip, weights=str(tmp_path / name))
    torch.testing.assert_close(loaded.state_dict(), clip.state_dict(), rtol=0, atol=0)


def test_state_dict_called_safetensors_is_read(clip, tiny_clip, tmp_path):
    save_state_dict(clip, tmp_path / "clip.safetensors")
    loaded = load_clip(name=tiny_clip, weights=str(tmp_path / "clip.safetensors"))
    torch.testing.assert_close(loaded.state_dict(), clip.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_weights_become_float32(clip, tiny_clip, tmp_path, dtype):
    torch.save({name: v.to(dtype) for name, v in clip.state_dict().items()}, tmp_path / "half.pt")
    tower = load_image_tower(name=tiny_clip, weights=str(tmp_path / "half.pt"))
    expected = clip.visual.conv1.weight.to(dtype).float()
    assert torch.equal(tower.conv1.weight, expected)


@pytest.mark.parametrize("prefix", ["", "visual.", "module.backbone."])
def test_the_image_tower_alone_is_enough_to_segment(clip, tiny_clip, tmp_path, prefix):
    state = {k.removeprefix("visual."): v for k, v in trained(clip).items() if "visual." in k}
    save_file({prefix + name: value for name, value in state.items()}, tmp_path / "tower")
    tower = load_image_tower(name=tiny_clip, weights=str(tmp_path / "tower"))
    assert all(torch.equal(tower.state_dict()[name], value) for name, value in state.items())
    with pytest.raises(ClipWeightsError, match="^mining also needs CLIP's text tower, which"):
        load_clip(name=tiny_clip, weights=str(tmp_path / "tower"))


def test_weights_that_are_there_twice_are_refused(clip, tiny_clip, tmp_path):
    state = clip.state_dict()
    torch.save({"state_dict": state, "state_dict_ema": trained(clip)}, tmp_path / "both.pt")
    message = r"2 complete sets of weights, under 'state_dict\.', 'state_dict_ema\.': keep one"
    for load in (load_clip, load_image_tower):
        with pytest.raises(ClipWeightsError, match=message):
            load(name=tiny_clip, weights=str(tmp_path / "both.pt"))


def test_a_folder_is_no_file_of_weights(tiny_clip, tmp_path):
    with pytest.raises(ClipWeightsError, match="it is a folder; name the file in it"):
        load_clip(name=tiny_clip, weights=str(tmp_path))


@pytest.mark.parametrize("load", [load_clip, load_image_tower])
@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"visual.conv1.weight": torch.zeros(5, 3, 3, 3)}, r"\(5, 3, 3, 3\) instead of \(2, 3, 3"),
        ({"visual.conv1.weight": torch.zeros(2, 3, 3, 3).int()}, "whole numbers of shape"),
        ({"visual.layer3.9.conv1.weight": torch.zeros(1)}, "is unknown"),
        ({"visual.layer3.1.conv1.weight": None}, "is missing"),
    ],
)
def test_another_architectures_weights_are_refused_after_the_remedy(
    clip, tiny_clip, tmp_path, load, change, fault
):
    state = clip.state_dict() | change
    torch.save({name: v for name, v in state.items() if v is not None}, tmp_path / "other.pt")
    (name,) = change
    with pytest.raises(ClipWeightsError) as caught:
        load(name=tiny_clip, weights=str(tmp_path / "other.pt"))
    message = str(caught.value)
    assert message.startswith("pass the file that belongs to 'tiny-clip-for-tests', or change ")
    assert re.search(rf"other\.pt' do not fit .*: {re.escape(name)} .*{fault}", message)


def test_of_many_faults_the_first_few_are_named(clip, tiny_clip, tmp_path):
    state = {name: value for name, value in clip.state_dict().items() if "layer4" not in name}
    torch.save(state, tmp_path / "cut.pt")
    with pytest.raises(ClipWeightsError) as caught:
        load_clip(name=tiny_clip, weights=str(tmp_path / "cut.pt"))
    assert len(str(caught.value)) < 600
    assert re.search(r": visual\.layer4\.0\.\S+ is missing, .*, \d\d more$", str(caught.value))


def test_the_published_checksums_are_those_in_the_addresses():
    checksums = checkpoint_files._openai_checksums()
    assert {len(bytes.fromhex(checksum)) for checksum in checksums} == {32}
    assert any(checksum.startswith("afeb0e10f9e5a86d") for checksum in checksums)  # RN50


def test_a_checkpoint_of_a_training_is_no_clip(clip, tiny_clip, tmp_path):
    torch.save({"model": clip.state_dict(), "settings": {}}, tmp_path / "a.pth")
    with pytest.raises(ClipWeightsError, match=r"pass it as train\.init_checkpoint"):
        load_clip(name=tiny_clip, weights=str(tmp_path / "a.pth"))

"""Style banks: what is saved comes back, what is wrong is refused in words."""

import json
import math
import os
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

import langdg_d2
from langdg_d2.styles.bank import StyleBank
from langdg_d2.styles.bank_header import BankHeader, StyleBankError

KEY = "langdg_d2.style_bank"
TENSORS = ("mean", "std", "class_id", "cosine_before", "cosine_after")
HEADER = BankHeader(
    clip_name="RN50-quickgelu",
    clip_fingerprint="0123456789abcdef",
    layer="layer1",
    channels=2,
    grid=(3, 3),
    class_names=("road", "car", "sky"),
    ignore_label=255,
    source="gta5",
    seed=7,
    settings={"steps": 100, "templates": ["a photo of {}"]},
)
PROMPTS = ("Retro style road", "Noir style road", "photo", "Retro style car", "Retro style road")


def arguments(**changes: Any) -> dict[str, Any]:
    """Of a bank of three styles of road, one of car and one of unlabelled patches."""
    return {
        "header": HEADER,
        "mean": torch.arange(10.0).reshape(5, 2),
        "std": torch.linspace(-1, 3, 10).reshape(5, 2),
        "class_id": torch.tensor([0, 0, 255, 1, 0], dtype=torch.uint8),
        "prompts": PROMPTS,
        "cosine_before": torch.tensor([0.1, 0.2, 0.15, 0.3, 0.3]),
        "cosine_after": torch.tensor([0.4, 0.5, math.nan, 1.0005, 0.6]),
    } | changes


def bank(**changes: Any) -> StyleBank:
    return StyleBank(**arguments(**changes))


def content(one: StyleBank) -> tuple[object, ...]:
    """Everything in a bank, to the last bit."""
    tensors = [getattr(one, name) for name in TENSORS]
    return (
        one.header,
        one.prompts,
        *((tuple(t.shape), t.dtype, t.numpy().tobytes()) for t in tensors),
    )


def rows_of(one: StyleBank) -> list[tuple[object, ...]]:
    """The styles of a bank, each as a tuple."""
    columns = [[row.numpy().tobytes() for row in getattr(one, name)] for name in TENSORS]
    return list(zip(one.prompts, *columns, strict=True))


FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)
COSINE = st.floats(-1, 1, width=32) | st.just(math.nan)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@st.composite
def headers(draw: st.DrawFn) -> BankHeader:
    names = draw(st.lists(st.text().filter(lambda n: n != "ignore"), min_size=1, max_size=4))
    names = list(dict.fromkeys(names))
    return BankHeader(
        clip_name=draw(st.text()),
        clip_fingerprint=draw(st.text()),
        layer=draw(st.text()),
        channels=draw(st.integers(1, 3)),
        grid=draw(st.tuples(st.integers(1, 5), st.integers(1, 5))),
        class_names=tuple(names),
        ignore_label=draw(st.integers(len(names), 255)),
        source=draw(st.text()),
        seed=draw(st.none() | st.integers()),
        settings=draw(st.dictionaries(st.text(), JSON, max_size=3)),
    )


@st.composite
def banks(draw: st.DrawFn, header: BankHeader | None = None) -> StyleBank:
    header = draw(headers()) if header is None else header
    count = draw(st.integers(0, 5))

    def column(values: st.SearchStrategy[Any], width: int = 1) -> np.ndarray:
        size = count * width
        return np.array(draw(st.lists(values, min_size=size, max_size=size)))

    def statistics() -> torch.Tensor:
        flat = column(FINITE, header.channels).astype(np.float32)
        return torch.from_numpy(flat).view(count, header.channels)

    ids = column(st.sampled_from(sorted(header.labels.values())))
    return StyleBank(
        header=header,
        mean=statistics(),
        std=statistics(),
        class_id=torch.from_numpy(ids.astype(np.uint8)),
        prompts=draw(st.lists(st.text(max_size=4), min_size=count, max_size=count)),
        cosine_before=torch.from_numpy(column(COSINE).astype(np.float32)),
        cosine_after=torch.from_numpy(column(COSINE).astype(np.float32)),
    )


@settings(max_examples=40, deadline=None)
@given(original=banks())
def test_saved_bank_loads_equal_to_the_last_bit(
    original: StyleBank, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("bank") / "styles.safetensors"
    original.save(path)
    assert content(StyleBank.load(path)) == content(original)


def test_a_new_folder_is_made_and_an_earlier_bank_replaced(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "styles.safetensors"
    bank().save(path)
    bank().subset(classes=["car"]).save(str(path))
    assert len(StyleBank.load(str(path))) == 1
    assert list(path.parent.iterdir()) == [path]


def test_the_same_bank_gives_the_same_bytes(tmp_path: Path) -> None:
    for k in range(5):
        bank().save(tmp_path / str(k))
    assert len({(tmp_path / str(k)).read_bytes() for k in range(5)}) == 1


def test_loaded_tensors_do_not_depend_on_the_file(tmp_path: Path) -> None:
    path = tmp_path / "styles.safetensors"
    bank().save(path)
    loaded = StyleBank.load(path)
    path.write_bytes(bytes(path.stat().st_size))
    assert content(loaded) == content(bank())


def test_file_tells_who_made_it(tmp_path: Path) -> None:
    bank().save(tmp_path / "styles")
    created_by = StyleBank.load(tmp_path / "styles").header.created_by
    assert created_by == f"langdg_d2 {langdg_d2.__version__}"
    bank(header=replace(HEADER, created_by="langdg_d2 9.9")).save(tmp_path / "styles")
    assert StyleBank.load(tmp_path / "styles").header.created_by == "langdg_d2 9.9"


def write(path: Path, **changes: Any) -> None:
    """A bank's file with other entries in its record."""
    record = {"version": 1, "header": asdict(HEADER), "prompts": PROMPTS} | changes
    tensors = {name: arguments()[name] for name in TENSORS}
    save_file(tensors, path, metadata={KEY: json.dumps(record)})


def refusal(path: Path) -> str:
    with pytest.raises(StyleBankError) as caught:
        StyleBank.load(path)
    assert str(path) in str(caught.value)
    assert "tools/mine_styles.py" in str(caught.value)
    return str(caught.value)


def test_files_that_are_no_bank_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "styles"
    assert "No such file" in refusal(path)
    assert refusal(tmp_path)
    path.write_bytes(b"")
    assert refusal(path)
    torch.save({"mean": torch.zeros(1)}, path)
    assert refusal(path)
    save_file({"conv1.weight": torch.zeros(3)}, path)
    assert f"without the entry '{KEY}'" in refusal(path)
    save_file({"mean": torch.zeros(3)}, path, metadata={"format": "pt"})
    assert f"without the entry '{KEY}'" in refusal(path)


def test_version_tensors_and_record_have_to_be_right(tmp_path: Path) -> None:
    path = tmp_path / "styles"
    write(path)
    assert content(StyleBank.load(path)) == content(bank())
    write(path, version=2)
    assert "version 2, this program reads version 1" in refusal(path)
    write(path, prompts=PROMPTS[1:])
    assert "mean is (5, 2) torch.float32, expected (4, 2)" in refusal(path)
    write(path, prompts=[1, 2, 3, 4, 5])
    assert "of type {'int'}, expected strings" in refusal(path)
    write(path, header=asdict(HEADER) | {"colour": "red"})
    assert "colour" in refusal(path)
    write(path, header={})
    assert "clip_name" in refusal(path)
    metadata = {KEY: json.dumps({"version": 1, "header": asdict(HEADER), "prompts": PROMPTS})}
    save_file({"mean": torch.zeros(5, 2)}, path, metadata=metadata)
    assert "holds ['mean'], expected ['class_id', 'cosine_after'," in refusal(path)


@settings(max_examples=100, deadline=None)
@given(name=st.sampled_from(sorted({"prompts", "version", *asdict(HEADER)})), value=JSON)
def test_strange_records_are_refused_or_read_but_never_crash(
    name: str, value: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("bank") / "styles"
    if name in ("prompts", "version"):
        write(path, **{name: value})
    else:
        write(path, header=asdict(HEADER) | {name: value})
    assert complaint(path) == "" or str(path) in complaint(path)


@pytest.mark.parametrize("text", ["", "[]", "null", "3", "{", '{"version": 1}', "[" * 10**5])
def test_records_that_are_no_record_are_refused(text: str, tmp_path: Path) -> None:
    tensors = {name: arguments()[name] for name in TENSORS}
    save_file(tensors, tmp_path / "styles", metadata={KEY: text})
    assert refusal(tmp_path / "styles")


def complaint(path: Path) -> str:
    """What loading a file ends with; "" if it loads. Other errors than a bank's pass through."""
    try:
        StyleBank.load(path)
    except StyleBankError as error:
        return str(error)
    return ""


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "styles"
    bank().save(path)
    whole = path.read_bytes()
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        assert str(path) in complaint(path), size
    path.write_bytes(whole + b"\0")
    assert str(path) in complaint(path)


def test_random_and_damaged_bytes_never_crash(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / "styles"
    bank().save(path)
    whole = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    for _ in range(300):
        path.write_bytes(rng.integers(0, 256, rng.integers(0, 200), dtype=np.uint8).tobytes())
        assert str(path) in complaint(path)
        damaged = whole.copy()
        damaged[rng.integers(0, len(whole), rng.integers(1, 4))] = rng.integers(0, 256)
        path.write_bytes(damaged.tobytes())
        assert complaint(path) == "" or str(path) in complaint(path)


def test_a_pickle_is_refused_without_running_it(tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> tuple[Callable[..., None], tuple[str]]:
            return os.mkdir, (str(tmp_path / "ran"),)

    torch.save(Payload(), tmp_path / "styles")
    assert refusal(tmp_path / "styles")
    assert not (tmp_path / "ran").exists()
    torch.load(tmp_path / "styles", weights_only=False)
    assert (tmp_path / "ran").exists()  # it would have run


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mean": torch.zeros(5, 3)}, r"mean is \(5, 3\) torch.float32, expected \(5, 2\)"),
        ({"std": torch.zeros(4, 2)}, r"std is \(4, 2\) .*for 5 prompts and 2 channels"),
        ({"mean": torch.zeros(5, 2).half()}, r"mean is \(5, 2\) torch.float16, expected"),
        ({"class_id": torch.zeros(5).long()}, "class_id is .*int64, expected .*uint8"),
        ({"cosine_after": torch.zeros(5, 1)}, r"cosine_after is \(5, 1\).*expected \(5,\)"),
        ({"prompts": PROMPTS[:4]}, "expected .* for 4 prompts"),
        ({"prompts": (*PROMPTS[:4], 3)}, "prompts are of type {'int'}"),
        (
            {"mean": torch.tensor([[0, 0], [0, math.inf], [0, 0], [math.nan, 0], [0, 0]])},
            r"mean is not finite in 2 of 5 styles, the first of them style 1 "
            r"\(prompt 'Noir style road'\); leave these out",
        ),
        ({"std": torch.full((5, 2), -math.inf)}, "std is not finite in 5 of 5"),
        (
            {"class_id": torch.tensor([0, 0, 254, 1, 3], dtype=torch.uint8)},
            "class_id is none of {'road': 0, .*'ignore': 255} in 2 of 5 .* style 2",
        ),
        ({"cosine_before": torch.tensor([0, 0, 0, 0, -1.1])}, "cosine_before is not in -1..1"),
        ({"cosine_after": torch.full((5,), math.inf)}, "cosine_after is not in -1..1 in 5 of 5"),
    ],
)
def test_tensors_are_checked(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(StyleBankError, match=message):
        bank(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"clip_name": 3}, "clip_name is 3, expected <class 'str'>"),
        ({"seed": "7"}, "seed is '7'"),
        ({"channels": 0}, "channels is 0, expected a positive number"),
        ({"grid": (3,)}, r"grid is \(3,\), expected rows and columns"),
        ({"grid": (3, 0)}, "grid is"),
        ({"class_names": ()}, r"class_names is \(\), expected distinct names"),
        ({"class_names": ("road", "road")}, "distinct"),
        ({"class_names": ("road", "ignore")}, "none of them 'ignore'"),
        ({"class_names": (1, 2)}, "class_names"),
        ({"ignore_label": 2}, "ignore_label is 2, expected a number from 3, .* to 255"),
        ({"ignore_label": 256}, "ignore_label is 256"),
        ({"settings": {"lr": math.nan}}, "settings cannot be written as JSON"),
        ({"settings": {"prompts": {"a"}}}, "settings cannot be written as JSON"),
        ({"settings": [1]}, "settings is"),
    ],
)
def test_headers_are_checked(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(StyleBankError, match=message):
        replace(HEADER, **changes)


def test_lists_in_a_header_become_what_a_file_gives_back() -> None:
    made = replace(HEADER, grid=[3, 3], class_names=list(HEADER.class_names), settings={"a": (1,)})
    assert made == replace(HEADER, settings={"a": [1]})


def test_a_bank_owns_its_tensors() -> None:
    given = arguments()
    given["mean"] = torch.nn.Parameter(given["mean"])
    one = StyleBank(**given)
    with torch.no_grad():
        for name in TENSORS:
            given[name].zero_()
    assert content(one) == content(bank())
    assert not one.mean.requires_grad


def test_the_bank_of_the_model_passes_and_only_what_is_given_is_compared() -> None:
    one = bank()
    one.check()
    one.check(clip_name="RN50-quickgelu", channels=2)
    one.check(
        clip_name=HEADER.clip_name,
        clip_fingerprint=HEADER.clip_fingerprint,
        layer="layer1",
        channels=2,
        grid=[3, 3],
        class_names=["road", "car", "sky"],
        ignore_label=255,
    )
    with pytest.raises(StyleBankError, match="channels: the bank has 2, the model 3"):
        one.check(clip_name="RN50-quickgelu", channels=3)


def test_another_models_bank_is_refused_with_all_differences() -> None:
    with pytest.raises(StyleBankError) as caught:
        bank().check(
            clip_name="RN101-quickgelu",
            clip_fingerprint="fedcba9876543210",
            layer="layer2",
            channels=4,
            grid=(1, 1),
            class_names=("road",),
            ignore_label=254,
        )
    head, *lines = str(caught.value).splitlines()
    assert "tools/mine_styles.py" in head
    assert "the bank that belongs to this model" in head
    assert lines == [
        "- clip_name: the bank has 'RN50-quickgelu', the model 'RN101-quickgelu'",
        "- clip_fingerprint: the bank has '0123456789abcdef', the model 'fedcba9876543210'",
        "- layer: the bank has 'layer1', the model 'layer2'",
        "- channels: the bank has 2, the model 4",
        "- grid: the bank has (3, 3), the model (1, 1)",
        "- class_names: the bank has ('road', 'car', 'sky'), the model ('road',)",
        "- ignore_label: the bank has 255, the model 254",
    ]


def test_differing_settings_are_named_down_to_the_entry_and_long_lists_kept_short() -> None:
    own = replace(HEADER, settings={"pin": {"steps": 1, "lr": 1.0}, "prompts": [*"abcdef"]})
    other = {"pin": {"steps": 2, "lr": 1.0}, "prompts": [*"bcdefgh"], "crop": [4, 5]}
    assert own.differences({"settings": other, "seed": 7}, other="that") == [
        "settings.pin.steps: the bank has 1, that 2",
        "settings.prompts: the bank has 6 items such as 'a', that 7 items such as 'g', 'h'",
        "settings.crop: the bank has None, that [4, 5]",
    ]
    reordered = {"settings": dict(own.settings) | {"prompts": [*"fedcba"]}}
    assert own.differences(reordered, other="that") == [
        "settings.prompts: the bank has 6 items such as 'a', 'b', 'c', ..., "
        "that 6 items such as 'f', 'e', 'd', ..."
    ]


def test_parts_of_a_merged_header_are_the_headers_merged() -> None:
    parts = [replace(HEADER, seed=seed, settings={"steps": seed}) for seed in (1, 2, 3)]
    merged = StyleBank.merge([bank(header=part) for part in parts])
    assert merged.header.parts == parts
    assert HEADER.parts == [HEADER]


@settings(max_examples=40, deadline=None)
@given(parts=st.lists(banks(header=HEADER), min_size=1, max_size=3))
def test_merging_concatenates_and_keeps_a_header_all_share(parts: list[StyleBank]) -> None:
    merged = StyleBank.merge(parts)
    assert rows_of(merged) == [row for part in parts for row in rows_of(part)]
    assert merged.header == HEADER
    total = {name: sum(part.counts()[name] for part in parts) for name in HEADER.labels}
    assert merged.counts() == total


def test_a_merged_header_names_every_origin_once_however_it_was_merged() -> None:
    parts = [
        bank(header=replace(HEADER, source=source, seed=seed, settings={"steps": seed}))
        for source, seed in (("gta5", 1), ("synthia", 2), ("gta5", 3))
    ]
    merged = StyleBank.merge(parts)
    assert merged.header.source == "gta5 + synthia"
    assert merged.header.seed is None
    origin = {"created_by": HEADER.created_by}
    assert merged.header.settings == {
        "merged": [
            origin | {"source": "gta5", "seed": 1, "settings": {"steps": 1}},
            origin | {"source": "synthia", "seed": 2, "settings": {"steps": 2}},
            origin | {"source": "gta5", "seed": 3, "settings": {"steps": 3}},
        ]
    }
    stepwise = StyleBank.merge([StyleBank.merge(parts[:2]), parts[2]])
    assert content(stepwise) == content(merged)


def test_a_seed_that_all_share_is_kept() -> None:
    other = bank(header=replace(HEADER, source="synthia"))
    assert StyleBank.merge([bank(), other]).header.seed == HEADER.seed


@pytest.mark.parametrize(
    "change",
    [
        {"clip_name": "RN101"},
        {"clip_fingerprint": "0"},
        {"layer": "layer2"},
        {"grid": (1, 1)},
        {"class_names": ("road", "sky", "car")},
        {"ignore_label": 254},
    ],
)
def test_banks_that_do_not_belong_together_are_not_merged(change: dict[str, Any]) -> None:
    ids = torch.zeros(5, dtype=torch.uint8)
    other = bank(header=replace(HEADER, **change), class_id=ids)
    name = next(iter(change))
    with pytest.raises(StyleBankError, match=f"bank 3 of 3 .*{name}: the bank has .*the first"):
        StyleBank.merge([bank(), bank(), other])


def test_merging_nothing_is_refused() -> None:
    with pytest.raises(StyleBankError, match="no style bank to merge"):
        StyleBank.merge([])


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_subset_keeps_exactly_the_rows_asked_for(data: st.DataObject) -> None:
    one = data.draw(banks(header=HEADER))
    classes = data.draw(st.none() | st.lists(st.sampled_from(sorted(HEADER.labels))))
    texts = st.sampled_from(sorted(set(one.prompts))) if len(one) else st.nothing()
    prompts = data.draw(st.none() | st.lists(texts))
    names = {k: name for name, k in HEADER.labels.items()}
    expected = [
        row
        for row, k in zip(rows_of(one), one.class_id.tolist(), strict=True)
        if (classes is None or names[k] in classes) and (prompts is None or row[0] in prompts)
    ]
    part = one.subset(classes=classes, prompts=prompts)
    assert rows_of(part) == expected
    assert part.header == one.header
    if prompts is None:
        wanted = HEADER.labels if classes is None else classes
        assert part.counts() == {n: c * (n in wanted) for n, c in one.counts().items()}


def test_rows_are_those_asked_for_in_their_order() -> None:
    one = bank()
    part = one.rows([3, 0, 3])
    assert rows_of(part) == [rows_of(one)[k] for k in (3, 0, 3)]
    assert part.header == one.header
    assert rows_of(one.rows(range(1, 3))) == rows_of(one)[1:3]
    assert len(one.rows([])) == 0


def test_subset_refuses_what_the_bank_has_not() -> None:
    with pytest.raises(StyleBankError, match=r"no class \['raod'\]; it has \['car', 'ignore'"):
        bank().subset(classes=["road", "raod"])
    with pytest.raises(StyleBankError, match=r"no prompt \['Baroque'\]; it has \['Noir style"):
        bank().subset(prompts=["photo", "Baroque"])


def test_subsets_of_all_classes_merge_into_the_whole() -> None:
    one = bank()
    parts = [one.subset(classes=[name]) for name in HEADER.labels]
    merged = StyleBank.merge(parts)
    assert sorted(rows_of(merged)) == sorted(rows_of(one))
    assert merged.header == one.header


def test_counts_name_every_class() -> None:
    assert bank().counts() == {"road": 3, "car": 1, "sky": 0, "ignore": 1}
    assert len(bank()) == 5


def test_description_has_a_row_per_class_and_a_total() -> None:
    table = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in bank().describe().split("\n")
    ]
    assert set("".join(table.pop(1))) == {":", "-"}
    assert table == [
        ["class", "styles", "prompts", "cosine before", "cosine after"],
        ["road", "3", "2", "0.200", "0.500"],
        ["car", "1", "1", "0.300", f"{np.float32(1.0005):.3f}"],
        ["sky", "0", "0", "\u2013", "\u2013"],
        ["ignore", "1", "1", "0.150", "\u2013"],
        ["total", "5", "4", "0.210", f"{(0.4 + 0.5 + 1.0005 + 0.6) / 4:.3f}"],
    ]


def test_moving_a_bank_keeps_its_content() -> None:
    assert content(bank().to("cpu")) == content(bank())

"""The document of data sets and label maps: as made, complete, and true."""

from pathlib import Path

import pytest

from langdg_d2.data.datasets.builtin import FAMILIES
from langdg_d2.structures import CITYSCAPES_19, ENCODINGS

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "label_maps.md"


@pytest.fixture(scope="session")
def document(load_tool) -> str:
    return load_tool("describe_datasets").describe()


def rows(document: str, heading: str) -> list[list[str]]:
    """Cells of the first table below a heading, without its header."""
    lines = document.split(f"\n{heading}\n")[1].splitlines()
    start = next(k for k, line in enumerate(lines) if line.startswith("|"))
    table = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        table.append([cell.strip() for cell in line.strip("|").split("|")])
    return table


def test_document_is_up_to_date(document):
    assert DOCUMENT.read_text(encoding="utf-8") == document, (
        "run: python tools/describe_datasets.py --output docs/label_maps.md"
    )


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_every_data_set_has_its_row(document, family):
    [row] = [
        r
        for r in rows(document, "## Data sets")
        if r[0] == f"`{family.registered_name('<split>')}`"
    ]
    assert family.title in row[1]
    assert family.website in row[1]
    splits = dict(entry.rsplit(" ", 1) for entry in row[2].replace(", ", "\n").splitlines())
    counts = {name: count.replace(",", "") for name, count in splits.items()}
    assert counts == {k: "\u2013" if n is None else str(n) for k, n in family.splits.items()}
    assert row[4] == family.condition


@pytest.mark.parametrize("name", ENCODINGS)
def test_every_label_map_is_shown_id_by_id(document, name):
    shown = {
        int(raw): label for raw, _, label, _ in rows(document, f"### {name[0].upper()}{name[1:]}")
    }
    decoded = {
        raw: "ignored" if train == 255 else CITYSCAPES_19.names[train]
        for raw, train in ENCODINGS[name].raw_to_train.items()
    }
    assert shown == decoded


@pytest.mark.parametrize(
    ("heading", "expected"),
    [
        ("### Train ids", ["16", "train", "train", "16"]),
        ("### Cityscapes label ids", ["31", "train", "train", "16"]),
        ("### Cityscapes label ids", ["9", "parking", "ignored", "\u2013"]),
        ("### Cityscapes label ids", ["255", "license plate", "ignored", "\u2013"]),
        ("### GTA5 label ids", ["34", "license plate", "ignored", "\u2013"]),
        ("### SYNTHIA label ids", ["10", "pedestrian", "person", "11"]),
        ("### UrbanSyn train ids", ["19", "unlabeled", "ignored", "\u2013"]),
        ("## Corruptions", ["`defocus_blur`", "3 and 0.1", "4 and 0.5", "6 and 0.5"]),
    ],
)
def test_rows_say_what_the_sources_say(document, heading, expected):
    assert expected in [row[: len(expected)] for row in rows(document, heading)]


def test_tool_writes_the_document_or_prints_it(load_tool, document, tmp_path, capsys):
    tool = load_tool("describe_datasets")
    tool.main(["--output", str(tmp_path / "maps.md")])
    tool.main([])
    assert capsys.readouterr().out == (tmp_path / "maps.md").read_text(encoding="utf-8")
    assert (tmp_path / "maps.md").read_text(encoding="utf-8") == document

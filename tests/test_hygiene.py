"""Nothing in the repository that does not belong there."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LARGEST = 500_000  # bytes
WEIGHTS = ROOT / "projects/streets/weights"
LARGER = {
    WEIGHTS / "small_clip.safetensors": 15_000_000,
    WEIGHTS / "small_convnext_clip.safetensors": 15_000_000,
    WEIGHTS / "streets_recipe.safetensors": 8_000_000,
}


def tracked_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout: nothing says which files belong to the project")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def text_files() -> list[Path]:
    suffixes = {".py", ".md", ".toml", ".txt", ".cff", ".json", ""}
    return [path for path in tracked_files() if path.suffix in suffixes]


def test_every_source_file_is_tracked():
    tracked = set(tracked_files())
    for folder in ("langdg_d2", "tools", "configs", "projects", "tests"):
        for path in (ROOT / folder).rglob("*.py"):
            assert path in tracked, f"{path} is not in the repository: check .gitignore"


def test_no_file_is_large_or_an_operating_systems():
    for path in tracked_files():
        assert path.stat().st_size <= LARGER.get(path, LARGEST), path
        assert path.name not in {".DS_Store", "Thumbs.db"}, path


def test_no_merge_markers_and_nothing_left_to_do():
    marker = re.compile(r"^(<{7}|>{7}|={7})( |$)", re.MULTILINE)
    unfinished = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|X" + r"XX)\b")
    for path in text_files():
        text = path.read_text()
        assert not marker.search(text), path
        if path.name != "LICENSE":
            assert not unfinished.search(text), path


def test_every_relative_link_of_a_document_leads_somewhere():
    link = re.compile(r"\]\(([^)#\s]+)")
    for path in tracked_files():
        if path.suffix == ".md":
            for target in link.findall(path.read_text()):
                if not target.startswith(("http://", "https://", "mailto:")):
                    assert (path.parent / target).exists(), f"{path}: {target}"


def test_every_command_of_the_documents_names_files_that_exist():
    text = "".join(p.read_text() for p in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")))
    named = set(re.findall(r"(?<![\w/])(?:tools|configs|projects)/[\w/]+\.py", text))
    assert named, "the documents show no command"
    for name in named:
        assert (ROOT / name).is_file(), name

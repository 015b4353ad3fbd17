"""Generates docs/config.md for the site: keys, defaults and comments of configs/common."""

import ast
from pathlib import Path

COMMON = Path(__file__).resolve().parents[1] / "configs/common"
# Parts of a config: the file, and the variable or function that defines them.
PARTS = {
    "train": ("train", "train"),
    "model": ("models/clip_rn50_deeplabv3plus", "model"),
    "styles": ("styles", "styles"),
    "optimizer": ("optim", "optimizer"),
    "lr_scheduler": ("schedule", "lr_scheduler"),
    "dataloader.train": ("data/sources", "train_loader"),
    "dataloader.test.DOMAIN": ("data/targets", "test_loader"),
    "evaluation": ("evaluation", "evaluation"),
}
HEAD = "| key | default | meaning |\n| --- | --- | --- |\n"


def page() -> str:
    """Return the page as Markdown."""
    text = (
        "# Config keys\n\nThe keys set by `configs/common`, without those that refer to other keys."
    )
    for key, (file, name) in PARTS.items():
        source = (COMMON / f"{file}.py").read_text()
        tree, starts = ast.parse(source), (f"{name} = ", f"def {name}(")
        node = next(node for node in tree.body if ast.unparse(node).startswith(starts))
        part = node.body[-1] if isinstance(node, ast.FunctionDef) else node
        text += f"\n\n## {key}\n\n{ast.get_docstring(tree)} `configs/common/{file}.py`:\n\n{HEAD}"
        text += "\n".join(rows(part.value, key, source.splitlines()))
    return text + "\n"


def rows(call: ast.Call, prefix: str, lines: list[str]) -> list[str]:
    """Return a row for every keyword of nested calls, with the comment above it."""
    found = []
    for keyword in [keyword for keyword in call.keywords if keyword.arg]:
        key, value, line = f"{prefix}.{keyword.arg}", keyword.value, keyword.lineno - 1
        comment, default = "", ast.unparse(value)
        own_line = lines[line][: keyword.col_offset].isspace()
        while own_line and lines[line - 1].lstrip().startswith("# "):
            line -= 1
            comment = f"{lines[line].strip()[2:]} {comment}"
        if inner := rows(value, key, lines) if isinstance(value, ast.Call) else []:
            default = ast.unparse(value.func.args[0]) if isinstance(value.func, ast.Call) else ""
        if not default.startswith("'${"):
            default = f"`{default}`" if default and not isinstance(value, ast.Name) else ""
            cells = (cell.strip().replace("|", "&#124;") for cell in (default, comment))
            cell = f"<code>{key.replace('.', '.<wbr>')}</code>"  # lines may break after dots
            found += [f"| {' | '.join([cell, *cells])} |", *inner]
    return found


def on_files(files, config) -> None:
    """Add the page to the site (called by MkDocs)."""
    from mkdocs.structure.files import File

    files.append(File.generated(config, "docs/config.md", content=page()))

"""The Markdown of benchmark tables as HTML: paragraphs, lists, tables and code."""

import re

from ..html import Markup, markup, paragraph, table

_CELL_BORDER = re.compile(r"(?<!\\)\|")
_CODE = re.compile(r"(?<!\\)`([^`]*)`")
_ESCAPED = re.compile(r"\\([\\`*|<>\[\]])")


def html_blocks(text: str) -> Markup:
    """Blocks of Markdown, one after the other; what is no list or table is a paragraph."""
    return Markup("".join(_block(block) for block in re.split(r"\n\s*\n", text.strip())))


def inline(text: str) -> Markup:
    """A line of text, with code between backticks."""
    parts = _CODE.split(text)  # every other one is code
    return Markup(
        "".join(
            f"<code>{markup(part)}</code>" if k % 2 else markup(_ESCAPED.sub(r"\1", part))
            for k, part in enumerate(parts)
        )
    )


def _block(block: str) -> Markup:
    lines = block.splitlines()
    if all(one.startswith("- ") for one in lines):
        items = "".join(f"<li>{inline(one[2:])}</li>" for one in lines)
        return Markup(f"<ul>{items}</ul>")
    if len(lines) > 1 and all(one.startswith("|") for one in lines):
        return _table(block)
    return paragraph(inline(block))


def _table(block: str) -> Markup:
    rows = [
        [inline(cell.strip().replace(r"\|", "|")) for cell in _CELL_BORDER.split(one)[1:-1]]
        for one in block.splitlines()
    ]
    header, _, *body = rows
    if len(set(header)) < len(header) or any(len(row) != len(header) for row in body):
        return Markup(f'<div class="wide"><pre>{markup(block)}</pre></div>')
    columns: dict[str, list[Markup]] = {
        name: [row[k] for row in body] for k, name in enumerate(header)
    }
    return table(columns)

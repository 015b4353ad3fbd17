"""Parts of the report about the bank's numbers: origin, counts and cosines."""

import json
from collections.abc import Sequence

from ...styles import StyleBank
from ..figures import number_text
from ..html import Markup, facts, figure_png, fold, markup, paragraph, section, svg, swatch, table
from .bar_figures import cosine_figure, counts_figure
from .class_colors import ClassColors
from .part import Part
from .tally import PromptTally, mean_known, tally_prompts

COSINES = "cosine.png"
_MOST_ROWS = 300  # of the table of prompts
_LONGEST = 300  # characters of a setting


def origin_part(bank: StyleBank) -> Part:
    """What the header tells."""
    header = bank.header
    told: dict[str, object] = {
        "CLIP": f"{header.clip_name}, weights {header.clip_fingerprint}",
        "layer": f"{header.layer}, {header.channels} channels",
        "patches": f"{header.grid[0]} x {header.grid[1]} of an image",
        "source": header.source,
        "seed": "several or unknown" if header.seed is None else header.seed,
        "created by": header.created_by,
    }
    told |= {f"setting {key}": _short(value) for key, value in header.settings.items()}
    return Part(section("Where it comes from", facts(told)))


def counts_part(bank: StyleBank, colors: ClassColors) -> Part:
    """Number of styles by class and by style prompt, and by both in a table."""
    prompts = tally_prompts(bank)
    figure = counts_figure(bank.counts(), prompts, colors)
    drawing = svg(figure, "Bars: number of styles by class and by style prompt")
    both = fold("Styles by prompt and class", *_prompt_table(bank, prompts))
    return Part(section("How many styles", drawing, both), files={"counts.png": figure_png(figure)})


def cosines_part(bank: StyleBank, colors: ClassColors) -> Part:
    """Cosines of patches and texts before and after mining."""
    heading = "How close to their texts"
    parts = [(name, bank.subset(classes=[name])) for name, n in bank.counts().items() if n]
    names = [_labelled(name, colors) for name, _ in parts]
    numbers = _cosine_table([*names, markup("all")], [*(part for _, part in parts), bank])
    if _unknown(bank) == len(bank):
        return Part(
            section(heading, "The bank tells no cosines, as imported ones do not.", numbers)
        )
    figure = cosine_figure([("all", bank), *parts])
    alt = "Histograms of the cosine of patch and text before and after mining, by class"
    about = (
        "Cosine of CLIP's embeddings of a patch and of the text it was mined for, with the patch's "
        "own style and with the mined one. Numbers are means over the known ones."
    )
    return Part(
        section(heading, about, svg(figure, alt), numbers),
        files={COSINES: figure_png(figure)},
    )


def _prompt_table(bank: StyleBank, prompts: Sequence[PromptTally]) -> list[Markup]:
    shown = prompts[:_MOST_ROWS]
    columns: dict[str, list[object]] = {
        "style prompt": [tally.prompt for tally in shown],
        "styles": [tally.total for tally in shown],
        "cosine before": [number_text(tally.cosine_before) for tally in shown],
        "cosine after": [number_text(tally.cosine_after) for tally in shown],
    }
    for name, count in bank.counts().items():
        if count:
            key = f"class {name}" if name in columns else name
            columns[key] = [tally.counts[name] or "" for tally in shown]
    left = len(prompts) - len(shown)
    return [table(columns), *([paragraph(f"{left} prompts more are left out.")] if left else [])]


def _cosine_table(names: Sequence[Markup], parts: Sequence[StyleBank]) -> Markup:
    pairs = [(part.cosine_before, part.cosine_after) for part in parts]
    return table(
        {
            "class": names,
            "styles": [len(part) for part in parts],
            "cosine before": [number_text(mean_known(before)) for before, _ in pairs],
            "cosine after": [number_text(mean_known(after)) for _, after in pairs],
            "gain": [number_text(mean_known(after - before)) for before, after in pairs],
            "unknown": [_unknown(part) for part in parts],
        }
    )


def _labelled(name: str, colors: ClassColors) -> Markup:
    return Markup(swatch([round(255 * part) for part in colors[name]]) + markup(name))


def _unknown(bank: StyleBank) -> int:
    return int((bank.cosine_before.isnan() | bank.cosine_after.isnan()).sum())


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"

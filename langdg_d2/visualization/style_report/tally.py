"""How often each style prompt occurs in a bank, class by class, and how far mining got with it."""

import re
from typing import NamedTuple

from torch import Tensor

from ...styles import StyleBank

UNKNOWN = "(unknown)"  # the style prompt of imported banks, which do not tell it
CLASS_ONLY = "(class name alone)"


class PromptTally(NamedTuple):
    """The styles of a bank that have one style prompt.

    Attributes:
        prompt: without the class's name.
        counts: number of styles by class name, zero included, "ignore" last.
        cosine_before: mean over those styles of which it is known, NaN if of none.
        cosine_after: likewise.
    """

    prompt: str
    counts: dict[str, int]
    cosine_before: float
    cosine_after: float

    @property
    def total(self) -> int:
        """Number of styles."""
        return sum(self.counts.values())


def style_prompts(bank: StyleBank) -> list[str]:
    """The style prompt of each style: its target text without the name of its class.

    Texts without the name stay whole.
    """
    names = {k: name for name, k in bank.header.labels.items()}
    ids = bank.class_id.tolist()
    return [_without(names[k], text) for k, text in zip(ids, bank.prompts, strict=True)]


def tally_prompts(bank: StyleBank) -> list[PromptTally]:
    """One for each style prompt, the most frequent first, then by the alphabet."""
    rows: dict[str, list[int]] = {}
    for row, prompt in enumerate(style_prompts(bank)):
        rows.setdefault(prompt, []).append(row)
    tallies = [_tally(bank.rows(own), prompt) for prompt, own in rows.items()]
    return sorted(tallies, key=lambda tally: (-tally.total, tally.prompt))


def mean_known(values: Tensor) -> float:
    """Mean over values that are not NaN; NaN if all are."""
    return float(values.nanmean())


def _tally(bank: StyleBank, prompt: str) -> PromptTally:
    before, after = mean_known(bank.cosine_before), mean_known(bank.cosine_after)
    return PromptTally(prompt, bank.counts(), before, after)


def _without(name: str, text: str) -> str:
    if not text.strip():
        return UNKNOWN
    # The last one: in "Silk Road style road" the class stands at the end, as in most templates.
    found = list(re.finditer(rf"(?<!\w){re.escape(name)}(?!\w)", text, re.IGNORECASE))
    if not found:
        return text
    start, end = found[-1].span()
    return " ".join((text[:start] + text[end:]).split()) or CLASS_ONLY

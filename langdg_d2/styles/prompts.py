"""Target texts of style mining: style prompts combined with class names (section 4.2)."""

import string
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import torch
import yaml

from ..utils.errors import LangDGError

_PACKS = Path(__file__).parent / "prompt_packs"
_FIELDS = {"style", "class_name"}
_DATA = (".json", ".yaml", ".yml")


def load_style_prompts(source: str | Sequence[str]) -> tuple[str, ...]:
    """Style prompts from a list, a pack or a file, in their order.

    Args:
        source: a list of prompts; the name of a pack, a file in `prompt_packs/`; or the path of a
            UTF-8 file with a list of texts in JSON or YAML, or with one style per line (blank
            lines and comments after `#` are skipped, runs of white space become one space).
    """
    if not isinstance(source, str):
        return _distinct(source, "style prompts")
    packs = {path.stem: path for path in sorted(_PACKS.glob("*.txt"))}
    path = packs.get(source, Path(source))
    if not path.is_file():
        raise LangDGError(
            f"style prompts '{source}': neither a file nor one of the packs {list(packs)}; a list "
            "of texts is written [driving at night]"
        )
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors write a byte order mark
    except UnicodeDecodeError as error:
        raise LangDGError(f"style prompts '{path}' are not UTF-8 text: {error}") from error
    return _distinct(_parse(text, path), f"style prompts '{path}'")


def _parse(text: str, path: Path) -> list[str]:
    try:
        # JSON is YAML, too, which PyYAML reads unless it is indented by tabs.
        content = yaml.safe_load(text.replace("\t", " "))
    except (yaml.YAMLError, ValueError, RecursionError):
        content = None  # plain text need not be YAML
    if isinstance(content, list):
        return content
    tidy = (" ".join(line.partition("#")[0].split()) for line in text.splitlines())
    lines = [line for line in tidy if line]
    is_data = path.suffix.lower() in _DATA or "".join(lines[:1]).startswith(("[", "{", "- "))
    if lines and is_data:
        raise LangDGError(
            f"style prompts '{path}' are not a list in JSON or YAML, such as [foggy, hazy], nor a "
            "style on each line"
        )
    return lines


def _distinct(prompts: Sequence[str], origin: str) -> tuple[str, ...]:
    """The prompts, checked to be distinct texts."""
    if strange := [prompt for prompt in prompts if not isinstance(prompt, str)]:
        raise LangDGError(f"{origin} contain {strange}, expected strings; put numbers in quotes")
    # CLIP reads lower case: with a second spelling, a style would be drawn more often.
    read = [" ".join(prompt.split()).lower() for prompt in prompts]
    if not all(read) or not read:
        raise LangDGError(f"{origin} are empty, or one of them is; write a style for each")
    if repeated := [prompt for k, prompt in enumerate(prompts) if read[k] in read[:k]]:
        raise LangDGError(
            f"{origin} hold {repeated} more than once (capitals make no "
            "difference to CLIP); keep one of each"
        )
    return tuple(prompts)


def random_character_prompts(*, count: int, length: int, seed: int) -> tuple[str, ...]:
    """Distinct meaningless prompts of letters a to z, for the ablation of the prompts' content.

    Args:
        count: number of prompts.
        length: letters of each prompt.
        seed: of the draw; the global generator is neither used nor changed.
    """
    letters = string.ascii_lowercase
    if length < 1 or count > len(letters) ** length:
        raise LangDGError(
            f"cannot draw {count} distinct prompts of {length} letters; make them longer"
        )
    generator = torch.Generator().manual_seed(seed)
    words: dict[str, None] = {}
    while len(words) < count:
        picks = torch.randint(len(letters), (length,), generator=generator)
        words["".join(letters[k] for k in picks)] = None
    return tuple(words)


class TargetPrompts:
    """Target texts of each class: a style prompt and the name of the class.

    Args:
        class_names: name of every train id, in order.
        style_prompts: styles to draw from, see `load_style_prompts`.
        ignore_label: train id of unlabelled patches.
        template: format of a text with `{style}`, `{class_name}` or both.
        ignore_prompt: text of unlabelled patches, which gets no style; None for the style prompts
            alone.

    Attributes:
        styles: the style prompts; empty if no text has a style.
    """

    def __init__(
        self,
        *,
        class_names: Sequence[str],
        style_prompts: str | Sequence[str],
        ignore_label: int,
        template: str = "{style} {class_name}",
        ignore_prompt: str | None = "photo",
    ) -> None:
        styled = "style" in _fields(template)
        needed = styled or ignore_prompt is None
        self.styles = load_style_prompts(style_prompts) if needed else ()
        self.class_names = tuple(class_names)
        self.ignore_label = ignore_label
        styles = self.styles if styled else ("",)  # the template ignores it
        self._texts: dict[int, tuple[str, ...]] = {}
        for train_id, name in enumerate(class_names):
            self._texts[train_id] = tuple(
                template.format(style=style, class_name=name) for style in styles
            )
        self._texts[ignore_label] = self.styles if ignore_prompt is None else (ignore_prompt,)

    def sample(self, class_ids: Sequence[int], *, generator: torch.Generator) -> list[str]:
        """Draw a text for each train id or ignore label, uniformly and independently.

        Args:
            class_ids: ids to draw for.
            generator: on the CPU; advances.
        """
        if unknown := [class_id for class_id in class_ids if class_id not in self._texts]:
            raise LangDGError(
                f"class id {unknown[0]!r} is unknown, expected one of {list(self._texts)}"
            )
        options = [self._texts[class_id] for class_id in class_ids]
        picks = [int(torch.randint(len(texts), (), generator=generator)) for texts in options]
        return [texts[pick] for texts, pick in zip(options, picks, strict=True)]

    def all(self) -> list[str]:
        """All distinct texts that `sample` can draw, always in the same order."""
        return list(dict.fromkeys(chain.from_iterable(self._texts.values())))


def _fields(template: str) -> set[str]:
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise LangDGError(f"template '{template}': {error}") from error
    fields = {field for _, field, _, _ in parts if field is not None}
    if not fields or not fields <= _FIELDS:
        raise LangDGError(
            f"template '{template}' has the fields {sorted(fields)}, expected 'style', "
            "'class_name' or both, as in '{style} {class_name}'"
        )
    return fields

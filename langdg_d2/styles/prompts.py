"""Target texts for style mining: style prompts combined with class names (section 4.2)."""

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
    """Load style prompts from a list, a pack or a file, in their order.

    Args:
        source: list of prompts; name of a pack, which is a file in `prompt_packs/`; or path of a
            UTF-8 file with a JSON or YAML list of texts, or with one style per line (blank lines
            and comments after `#` are skipped, and white space is normalised).

    Raises:
        LangDGError: if there is no such pack or file, or if it has no valid list of styles.
    """
    if not isinstance(source, str):
        return _distinct(source, "style prompts")
    packs = {path.stem: path for path in sorted(_PACKS.glob("*.txt"))}
    path = packs.get(source, Path(source))
    if not path.is_file():
        raise LangDGError(
            f"style prompts '{source}': neither a file nor one of the packs {list(packs)}; write a "
            "list of texts as [driving at night]"
        )
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors write a byte order mark
    except UnicodeDecodeError as error:
        raise LangDGError(f"style prompts '{path}' are not UTF-8 text: {error}") from error
    return _distinct(_parse(text, path), f"style prompts '{path}'")


def _parse(text: str, path: Path) -> list[str]:
    try:
        # PyYAML also reads JSON, unless it is indented with tabs.
        content = yaml.safe_load(text.replace("\t", " "))
    except (yaml.YAMLError, ValueError, RecursionError):
        content = None  # plain text may not be valid YAML
    if isinstance(content, list):
        return content
    tidy = (" ".join(line.partition("#")[0].split()) for line in text.splitlines())
    lines = [line for line in tidy if line]
    is_data = path.suffix.lower() in _DATA or "".join(lines[:1]).startswith(("[", "{", "- "))
    if lines and is_data:
        raise LangDGError(
            f"style prompts '{path}' are neither a list in JSON or YAML, such as [foggy, hazy], "
            "nor one style per line"
        )
    return lines


def _distinct(prompts: Sequence[str], origin: str) -> tuple[str, ...]:
    """Return the prompts after checking that they are distinct, non-empty strings."""
    if strange := [prompt for prompt in prompts if not isinstance(prompt, str)]:
        raise LangDGError(f"{origin} contain {strange}, expected strings; put numbers in quotes")
    # CLIP lowercases texts, so a second spelling would only be drawn more often.
    read = [" ".join(prompt.split()).lower() for prompt in prompts]
    if not all(read) or not read:
        raise LangDGError(f"{origin} are empty or contain an empty one; write a text for each")
    if repeated := [prompt for k, prompt in enumerate(prompts) if read[k] in read[:k]]:
        raise LangDGError(
            f"{origin} contain {repeated} more than once (CLIP ignores case); keep one of each"
        )
    return tuple(prompts)


def random_character_prompts(*, count: int, length: int, seed: int) -> tuple[str, ...]:
    """Draw distinct random prompts of letters a to z, for the ablation of prompt content.

    Args:
        count: number of prompts.
        length: number of letters per prompt.
        seed: seed of the draw; the global generator is neither used nor changed.
    """
    letters = string.ascii_lowercase
    if length < 1 or count > len(letters) ** length:
        raise LangDGError(
            f"cannot draw {count} distinct prompts of {length} letters; increase the length"
        )
    generator = torch.Generator().manual_seed(seed)
    words: dict[str, None] = {}
    while len(words) < count:
        picks = torch.randint(len(letters), (length,), generator=generator)
        words["".join(letters[k] for k in picks)] = None
    return tuple(words)


class TargetPrompts:
    """Target texts of each class, which combine a style prompt with the class name.

    Args:
        class_names: name of each train id, in order.
        style_prompts: styles to draw from, see `load_style_prompts`.
        ignore_label: train id of unlabelled patches.
        template: format of texts, with `{style}`, `{class_name}` or both.
        ignore_prompt: text for unlabelled patches, without a style; None to use the style prompts
            alone.

    Attributes:
        styles: style prompts; empty if no text has a style.
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
        styles = self.styles if styled else ("",)  # ignored by the template
        self._texts: dict[int, tuple[str, ...]] = {}
        for train_id, name in enumerate(class_names):
            self._texts[train_id] = tuple(
                template.format(style=style, class_name=name) for style in styles
            )
        self._texts[ignore_label] = self.styles if ignore_prompt is None else (ignore_prompt,)

    def sample(self, class_ids: Sequence[int], *, generator: torch.Generator) -> list[str]:
        """Draw a text for each train id or ignore label, uniformly and independently.

        Args:
            class_ids: ids to draw texts for.
            generator: CPU generator, which is advanced.
        """
        if unknown := [class_id for class_id in class_ids if class_id not in self._texts]:
            raise LangDGError(
                f"class id {unknown[0]!r} is unknown, expected one of {list(self._texts)}"
            )
        options = [self._texts[class_id] for class_id in class_ids]
        picks = [int(torch.randint(len(texts), (), generator=generator)) for texts in options]
        return [texts[pick] for texts, pick in zip(options, picks, strict=True)]

    def all(self) -> list[str]:
        """Return all distinct texts that `sample` can draw, in a fixed order."""
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

"""Target texts of style mining: style prompts, and how they meet class names (section 4.2)."""

import string
from collections.abc import Mapping, Sequence
from itertools import chain, product
from pathlib import Path

import torch

_PACKS = Path(__file__).parent / "prompt_packs"
_FIELDS = {"style", "class_name"}


def load_style_prompts(pack: str) -> tuple[str, ...]:
    """Read a list of style prompts.

    Args:
        pack: name of a pack that comes with this package (a file in `prompt_packs/`), or the path
            of a text file with a style on each line, UTF-8. Blank lines, and whatever follows a
            `#`, are skipped; runs of white space count as one space.

    Returns:
        The prompts in the file's order.

    Raises:
        ValueError: unknown pack, a file without prompts or not in UTF-8, or a prompt that
            occurs twice.
    """
    packs = {path.stem: path for path in sorted(_PACKS.glob("*.txt"))}
    path = packs.get(pack, Path(pack))
    if not path.is_file():
        raise ValueError(
            f"style prompts '{pack}': neither a file nor one of the packs {list(packs)}"
        )
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors begin a file with a mark
    except UnicodeDecodeError as error:
        raise ValueError(f"style prompts '{path}' are not UTF-8 text: {error}") from error
    lines = (" ".join(line.partition("#")[0].split()) for line in text.splitlines())
    prompts = tuple(line for line in lines if line)
    if not prompts:
        raise ValueError(f"style prompts '{path}' are empty; write a style on each line")
    # CLIP reads lower case: a second spelling would only make its style likelier than others.
    seen = [prompt.lower() for prompt in prompts]
    if repeated := [prompt for k, prompt in enumerate(prompts) if seen[k] in seen[:k]]:
        raise ValueError(
            f"style prompts '{path}' hold {repeated} more than once (capitals make no "
            "difference to CLIP); keep one of each"
        )
    return prompts


def random_character_prompts(*, count: int, length: int, seed: int) -> tuple[str, ...]:
    """Meaningless prompts, for the ablation that asks whether a style's words matter.

    Args:
        count: how many; they are distinct.
        length: letters of each prompt, a to z.
        seed: decides which; torch's global randomness is neither used nor changed.

    Raises:
        ValueError: if there are fewer words of this length than asked for.
    """
    letters = string.ascii_lowercase
    if length < 1 or count > len(letters) ** length:
        raise ValueError(
            f"cannot draw {count} distinct prompts of {length} letters; make them longer"
        )
    generator = torch.Generator().manual_seed(seed)
    words: dict[str, None] = {}
    while len(words) < count:
        picks = torch.randint(len(letters), (length,), generator=generator)
        words["".join(letters[k] for k in picks)] = None
    return tuple(words)


class TargetPrompts:
    """The texts that the features of a class are mined for: a style prompt and the class's name.

    Args:
        class_names: name of every train id, in order.
        style_prompts: styles to draw from, such as `load_style_prompts` gives.
        ignore_label: train id of patches without a class.
        template: how the parts are put together. `"{class_name}"` or `"{style}"` alone leaves the
            other part out.
        ignore_prompt: text for the ignore label, to which no style is added.
        synonyms: further names for some classes; every name of a class is as likely.

    Attributes:
        class_names: as given.
        ignore_label: as given.

    Raises:
        ValueError: if the template has neither field or another one, if it asks for styles and
            there are none, if synonyms are given for something that is no class, or if the ignore
            label is a class.
    """

    def __init__(
        self,
        *,
        class_names: Sequence[str],
        style_prompts: Sequence[str],
        ignore_label: int,
        template: str = "{style} {class_name}",
        ignore_prompt: str = "photo",
        synonyms: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        synonyms = synonyms or {}
        if "style" not in _fields(template):
            style_prompts = ("",)  # one way to fill no field
        if not style_prompts or isinstance(style_prompts, str):
            raise ValueError(
                f"style_prompts are {style_prompts!r}, expected a list of at least one text; "
                "load_style_prompts reads one from a pack"
            )
        if unknown := sorted(set(synonyms) - set(class_names)):
            raise ValueError(f"synonyms of {unknown}, expected only of {list(class_names)}")
        if 0 <= ignore_label < len(class_names):
            raise ValueError(
                f"ignore_label {ignore_label} is the train id of '{class_names[ignore_label]}'; "
                f"choose one outside 0..{len(class_names) - 1}"
            )
        self.class_names = tuple(class_names)
        self.ignore_label = ignore_label
        self._texts = {
            train_id: tuple(
                template.format(style=style, class_name=alias)
                for style, alias in product(style_prompts, (name, *synonyms.get(name, ())))
            )
            for train_id, name in enumerate(class_names)
        }
        self._texts[ignore_label] = (ignore_prompt,)

    def sample(self, class_ids: Sequence[int], *, generator: torch.Generator) -> list[str]:
        """Draw a text for each class id, styles and names uniformly and independently.

        Args:
            class_ids: train ids or the ignore label.
            generator: of the CPU; advances.

        Raises:
            ValueError: if an id is neither; names it.
        """
        return [self._draw(class_id, generator) for class_id in class_ids]

    def all(self) -> list[str]:
        """Every text that `sample` can give, once, always in the same order."""
        return list(dict.fromkeys(chain.from_iterable(self._texts.values())))

    def _draw(self, class_id: int, generator: torch.Generator) -> str:
        if class_id not in self._texts:
            raise ValueError(f"class id {class_id!r} is none of {list(self._texts)}")
        texts = self._texts[class_id]
        return texts[int(torch.randint(len(texts), (), generator=generator))]


def _fields(template: str) -> set[str]:
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"template '{template}': {error}") from error
    fields = {field for _, field, _, _ in parts if field is not None}
    if not fields or not fields <= _FIELDS:
        raise ValueError(
            f"template '{template}' has the fields {sorted(fields)}, expected 'style', "
            "'class_name' or both, as in '{style} {class_name}'"
        )
    return fields

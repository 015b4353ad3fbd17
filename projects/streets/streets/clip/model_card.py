"""The model card that is written beside the weights."""

from typing import Any

from streets.clip.appearances import WORLD_LOOKS
from streets.clip.zero_shot import UNNAMED

_CARD = """# {name}

A CLIP of {parameters:.1f} million parameters that knows only the streets of this project: an image
tower with the structure of {tower}, a small text tower, CLIP's own tokenizer. It exists so that
language-guided domain generalization can be tried without a download. Its words mean something in
this procedural world and nothing outside of it.

- Architecture: `configs/{name}.json` (open_clip), input {size}x{size}, normalised as CLIP's.
- Weights: `{name}.safetensors`, {megabytes:.1f} MB, matrices in half precision.
- Reproduce: `{command}`
- Trained in {minutes:.0f} minutes on {machine}: {steps} steps of {images} crops, {scenes} scenes.

```python
from langdg_d2.modeling import load_clip

clip = load_clip(
    name="projects/streets/configs/{name}.json",
    weights="projects/streets/weights/{name}.safetensors",
)
```

## Data

Crops of scenes from `streets`, drawn with a seed that no benchmark uses; no image of a benchmark is
among them, but the same city models, weather and light are (rendered looks: {world_looks}), as a
CLIP of the internet has seen them too. Captions vary class and look: the 19 classes of Cityscapes,
the {conditions} driving conditions and {styles} art styles of the project's prompt packs, of which
each stands for a procedural appearance (`streets/clip/appearances.py`). {plain_share:.0%} of the
crops are as rendered, {unnamed_share:.0%} of the others in random looks without a name; training
begins with the former alone.

## Zero-shot accuracy

On {held_out} held-out scenes ({crops} crops), CLIP's 80 sentence templates averaged. "Class": among
the 19 plain class names. "Look": among all {looks} looks, given the class. "Both": among all
{texts} texts "<look> <class>".

| look | class | look | both |
| --- | --- | --- | --- |
{look_rows}

| class | accuracy |
| --- | --- |
{class_rows}

Crops as they are rendered, plain class names, {rendered_scenes} scenes a look. It has seen
other scenes in the looks marked, none in the others.

| look | class |
| --- | --- |
{rendered_rows}

## Limits

Crops show one class clearly, boxes of 24 to 160 pixels in scenes of 256x512. Style names mean what
this project's code makes of them. Not for photographs.
"""


def model_card(
    results: dict[str, Any],
    *,
    facts: dict[str, Any],
) -> str:
    """Fill the card.

    Args:
        results: of `zero_shot`, and under "rendered" those of `rendered_accuracy`.
        facts: the remaining fields of the card.
    """
    looks = results["looks"]
    rows = [f"| **all named** | {_percents(results)} |"]
    rows += [f"| {name} | {_percents(values)} |" for name, values in looks.items()]
    named = len(looks) - (UNNAMED in looks)
    return _CARD.format(
        **facts,
        crops=results["crops"],
        looks=named,
        texts=named * len(results["classes"]),
        look_rows="\n".join(rows),
        class_rows="\n".join(f"| {k} | {100 * v:.1f} |" for k, v in results["classes"].items()),
        rendered_rows="\n".join(
            f"| {look}{' (trained on)' if look in WORLD_LOOKS else ''} | {100 * accuracy:.1f} |"
            for look, accuracy in results["rendered"].items()
        ),
    )


def _percents(values: dict[str, float]) -> str:
    keys = ("class_accuracy", "look_accuracy", "joint_accuracy")
    return " | ".join(f"{100 * values[key]:.1f}" if key in values else "-" for key in keys)

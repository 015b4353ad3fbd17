"""The model card for the weights."""

from typing import Any

from streets.clip.appearances import WORLD_LOOKS
from streets.clip.zero_shot import UNNAMED

_CARD = """# {name}

A CLIP of {parameters:.1f} million parameters that knows only the generated streets of this
project. It has an image tower with the structure of {tower}, a small text tower and CLIP's own
tokenizer. Use it to try language-guided domain generalization without a download. It is not meant
for photographs.

- Architecture: `configs/{name}.json` (open_clip), input {size}x{size}, normalised like CLIP's.
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

The model is trained on crops of scenes from `streets`, generated with a seed that no benchmark
uses. No benchmark image is among them, but they share the city models, weather and light, just as
CLIP has seen photographs of such scenes. The rendered looks are
{world_looks}.

Captions name a class and a look: the 19 Cityscapes classes, and the {conditions} driving
conditions and {styles} art styles of the project's prompt packs. Each condition and style has a
procedural appearance (`streets/clip/appearances.py`). {plain_share:.0%} of the crops are as
rendered; training begins with these alone. {unnamed_share:.0%} of the others have random looks
without a name.

## Zero-shot accuracy

Accuracy in percent on {held_out} held-out scenes ({crops} crops), averaged over CLIP's 80
templates:

- class: among the 19 class names
- look: among all {looks} looks, given the class
- both: among all {texts} texts "<look> <class>"

| look | class | look | both |
| --- | --- | --- | --- |
{look_rows}

| class | accuracy |
| --- | --- |
{class_rows}

Accuracy on rendered crops with class names only, {rendered_scenes} scenes per look. The model
was trained on other scenes of the looks that are marked.

| look | class |
| --- | --- |
{rendered_rows}

## Limits

Training crops show one class clearly, in boxes of 24 to 160 pixels from scenes of 256x512. Style
names refer to the appearances that this project's code gives them. Do not use the model for
photographs.
"""


def model_card(
    results: dict[str, Any],
    *,
    facts: dict[str, Any],
) -> str:
    """Fill in the model card.

    Args:
        results: results of `zero_shot`, with those of `rendered_accuracy` as "rendered".
        facts: other fields of the card.
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

#!/usr/bin/env python
"""Upload a trained model to the Hugging Face Hub, with a model card.

    python tools/push_to_hub.py --checkpoint output/langdg_gta5/model.safetensors --repo-id me/famix
    python tools/push_to_hub.py --config-file configs/langdg_gta5.py --checkpoint model_final.pth \\
        --half --folder famix

Run `hf auth login` first. `Predictor.from_pretrained("me/famix")` loads the uploaded model.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from langdg_d2.utils.arguments import command_parser


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = command_parser(__doc__)
    parser.add_argument(
        "--checkpoint",
        required=True,
        metavar="FILE",
        help="model.safetensors or .pth of a training run",
    )
    parser.add_argument("--config-file", metavar="FILE", help="config of a .pth checkpoint")
    parser.add_argument(
        "--half",
        action="store_true",
        help="store convolution kernels and matrices in half precision",
    )
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--repo-id", metavar="NAME", help="repository USER/MODEL; created if needed")
    place.add_argument("--folder", metavar="FOLDER", help="write to a folder instead of uploading")
    parser.add_argument("--private", action="store_true", help="create a private repository")
    parser.add_argument("opts", nargs="*", metavar="KEY=VALUE", help="config overrides")
    args = parser.parse_args(arguments)
    if args.opts and not args.config_file:
        parser.error("KEY=VALUE overrides a config: pass --config-file")
    return args


if __name__ == "__main__":
    parse(None)  # first: the imports below take seconds

from huggingface_hub import HfApi

from langdg_d2.engine import load_config
from langdg_d2.engine.pretrained import (
    PRETRAINED,
    describe_model,
    load_pretrained,
    save_pretrained,
)
from langdg_d2.evaluation import unwrapped
from langdg_d2.utils.errors import LangDGError, report_errors
from langdg_d2.utils.file_io import write_text
from langdg_d2.visualization import Predictor

CARD = """---
library_name: langdg_d2
pipeline_tag: image-segmentation
---
# {title}

Semantic segmentation model with {count} classes, trained with `langdg_d2`: {classes}.
The licences of the pretrained weights and of the training data apply to it as well.

```python
from langdg_d2.visualization import Predictor

prediction = Predictor.from_pretrained("{title}")("street.png")
```

| | |
| --- | --- |
{rows}
"""


def write_folder(args: argparse.Namespace, folder: Path) -> None:
    """Write the model and its card to a folder."""
    if args.config_file:
        header = describe_model(load_config(args.config_file, args.opts))
        files = (args.config_file, args.checkpoint)
        *_, model = unwrapped(Predictor.from_config(*files, args.opts, device="cpu").model)
    else:
        model, header = load_pretrained(args.checkpoint)
    precision = "float16" if args.half else "float32"
    save_pretrained(folder / PRETRAINED, model=model, header=header, precision=precision)
    rows = {**header["notes"], "inference": header["inference"], **header["versions"]}
    card = CARD.format(
        title=args.repo_id or folder.resolve().name,
        count=len(model.classes),
        classes=", ".join(model.classes.names),
        rows="\n".join(f"| {key} | {value} |" for key, value in rows.items()),
    )
    write_text(folder / "README.md", card)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    args = parse(arguments)
    with report_errors():
        if args.folder:
            write_folder(args, Path(args.folder))
            print(f"wrote {args.folder}")
            return
        with tempfile.TemporaryDirectory() as folder:
            write_folder(args, Path(folder))
            print(upload(Path(folder), args.repo_id, private=args.private))


def upload(folder: Path, repo_id: str, *, private: bool) -> str:
    """Upload a folder and return its URL."""
    api = HfApi()
    try:
        api.create_repo(repo_id, private=private, exist_ok=True)
        return str(api.upload_folder(folder_path=folder, repo_id=repo_id))
    except (
        Exception
    ) as error:  # the client raises many types, for network, names, permissions and disk
        raise LangDGError(
            f"'{repo_id}' cannot be uploaded ({type(error).__name__}: "
            f"{' '.join(str(error).split())[:200]}): check the network and `hf auth login`, or "
            "write it with --folder"
        ) from error


if __name__ == "__main__":
    main()

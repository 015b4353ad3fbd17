"""Built-in data sets; importing this package registers them."""

from .builtin import datasets_root, register_all
from .folders import DatasetError, image_folder
from .labelled_folder import register_labelled_folder

register_all()

__all__ = ["DatasetError", "datasets_root", "image_folder", "register_labelled_folder"]

"""Local files and http(s) addresses behind one interface."""

from iopath.common.file_io import HTTPURLHandler, PathHandler
from iopath.common.file_io import PathManager as PathManagerBase

__all__ = ["PathHandler", "PathManager"]

PathManager = PathManagerBase()
PathManager.register_handler(HTTPURLHandler())

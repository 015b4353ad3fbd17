"""Pictures in a window on the screen."""

import os
import sys
from contextlib import suppress

import cv2

from .clips import MediaError
from .frame_sinks import Image, PictureSink

_KEYS_TO_CLOSE = (27, ord("q"))  # Escape
_LARGEST_WIDTH = 1600  # pixels, that a window opens with


class Window(PictureSink):
    """A window; Escape, Q or a click closes it.

    Args:
        title: of the window.
        wait: whether every picture stays until a key is pressed, as images should; the frames of
            a clip should not.

    Raises:
        MediaError: if OpenCV has no windows, or there is no display; when it is made, not later.
    """

    def __init__(self, *, title: str, wait: bool) -> None:
        if not cv2.currentUIFramework():
            raise MediaError(
                "this build of OpenCV has no windows, as opencv-python-headless; write files "
                "instead, or install opencv-python in its place"
            )
        # Without a display OpenCV does not raise, it ends the process.
        displays = ("DISPLAY", "WAYLAND_DISPLAY")
        if sys.platform.startswith("linux") and not any(map(os.environ.get, displays)):
            raise MediaError(
                "there is no display for a window, DISPLAY is not set; write files instead"
            )
        self.title = title
        self.wait = wait
        self._is_open = False

    def write(self, name: str, picture: Image) -> None:
        """Show a picture in place of the one before."""
        if not self._is_open:
            cv2.namedWindow(self.title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
            height, width = picture.shape[:2]
            shown = min(width, _LARGEST_WIDTH)
            cv2.resizeWindow(self.title, shown, round(height * shown / width))
            self._is_open = True
        cv2.imshow(self.title, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        key = cv2.waitKey(0 if self.wait else 1)
        self.is_closed = key & 0xFF in _KEYS_TO_CLOSE or not self._is_visible()

    def __exit__(self, *_: object) -> None:
        if self._is_open and self._is_visible():
            cv2.destroyWindow(self.title)
        self._is_open = False

    def _is_visible(self) -> bool:
        with suppress(cv2.error):  # raised by some builds once the last window is gone
            return cv2.getWindowProperty(self.title, cv2.WND_PROP_VISIBLE) >= 1
        return False

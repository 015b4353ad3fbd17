"""Pickles that take more memory than they look."""

import pickletools

_REMEMBER = ("PUT", "BINPUT", "LONG_BINPUT")  # opcodes with a place


def require_small_memo(data: bytes) -> None:
    """Refuse a pickle of which a few bytes have Python reserve gigabytes for what it remembers.

    Nothing in it is executed.

    Raises:
        ValueError: then, and for damage.
    """
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name in _REMEMBER and (argument or 0) > len(data):
            raise ValueError(f"it counts {argument} objects in {len(data)} bytes")

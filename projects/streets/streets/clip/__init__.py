"""The small CLIP of streets: crops in many looks, captions about them, training, zero-shot tests."""

"""The small CLIP of streets: crops in many looks, captions, training, zero-shot tests."""

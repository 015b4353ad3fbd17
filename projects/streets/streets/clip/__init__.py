"""The small CLIP of streets: crops in many looks, captions, training and zero-shot tests."""

"""Layers of CLIP's ModifiedResNet, and the names and strides of their outputs."""

LAYERS = ("stem", "layer1", "layer2", "layer3", "layer4")
BLOCK_LAYERS = LAYERS[1:]  # made of residual blocks

# Detectron2's names of the outputs, and their strides in CLIP as published.
FEATURES = ("stem", "res2", "res3", "res4", "res5")
STRIDES = (4, 4, 8, 16, 32)

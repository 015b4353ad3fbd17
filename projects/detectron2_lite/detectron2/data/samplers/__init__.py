"""Which indices of a data set a process sees, and in which order."""

from .distributed_sampler import InferenceSampler, TrainingSampler

__all__ = ["InferenceSampler", "TrainingSampler"]

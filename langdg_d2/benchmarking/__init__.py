"""How fast training, mining, inference and loading are, and what takes the time."""

from .paths import PATHS, without
from .runs import Result, Task, Variant, run_variants
from .tables import table, write
from .timing import PhaseTimer, Timings, measure
from .workloads import WORKLOADS, Workload

__all__ = [
    "PATHS",
    "WORKLOADS",
    "PhaseTimer",
    "Result",
    "Task",
    "Timings",
    "Variant",
    "Workload",
    "measure",
    "run_variants",
    "table",
    "without",
    "write",
]

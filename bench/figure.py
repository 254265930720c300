"""One figure, as a JSON line."""

import json
from collections.abc import Callable
from time import perf_counter


def report(name: str, value: float, unit: str, reference: float) -> None:
    """Print `value` beside `reference`, which is in the same unit and of the same run."""
    line = {
        "name": name,
        "value": round(value, 4),
        "unit": unit,
        "reference": round(reference, 4),
        "ratio": round(value / reference, 4) if reference else None,
    }
    print(json.dumps(line), flush=True)


def seconds(act: Callable[[], object], clock: Callable[[], float] = perf_counter) -> float:
    began = clock()
    act()
    return clock() - began


def median(values: list[float]) -> float:
    return percentile(values, 50)


def percentile(values: list[float], percent: float) -> float:
    """The smallest value that `percent` of `values` don't exceed (nearest rank)."""
    ordered = sorted(values)
    rank = max(1, -(-len(ordered) * percent // 100))
    return ordered[int(rank) - 1]

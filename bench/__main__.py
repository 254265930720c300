"""`make bench`: every figure, a JSON line each."""

import sys
from collections.abc import Callable
from pathlib import Path

from bench.decoding import empty_frame, hard
from bench.disk import append
from bench.door import door_to_light
from bench.drain import drain, drain_memory
from bench.growth import growth
from bench.idle import idle
from bench.instructions import empty_instructions
from bench.passes import passes
from bench.seeds import seeds

FIGURES: tuple[Callable[[], None], ...] = (
    door_to_light,
    append,
    growth,
    empty_frame,
    empty_instructions,
    hard,
    drain,
    drain_memory,
    idle,
    seeds,
    passes,
)


def main() -> None:
    """Print all figures, or those whose functions are named on the command line."""
    # On a real disk: /tmp may be memory, and a figure about flushing would be about nothing.
    Path("build").mkdir(exist_ok=True)
    wanted = set(sys.argv[1:])
    for figure in FIGURES:
        if not wanted or figure.__name__ in wanted:
            figure()


if __name__ == "__main__":
    main()

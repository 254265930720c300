"""How far the slow suites go: a short form in `make test`, all of it in `make long`."""

import os

LONG = bool(os.environ.get("LONG"))


def far(short: int, long: int) -> int:
    return long if LONG else short

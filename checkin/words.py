"""What is said to people, in the language of `LANG`: English or Vietnamese.

By gettext, whose catalogues are `checkin/locale/<language>/LC_MESSAGES/vaora.mo`. The words in the
code are the English ones. `_` looks up while the program runs, never while it is imported, so that
a test or a label may ask for another language.
"""

import gettext
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path

from checkin.marks import Text

DOMAIN = "vaora"
FOLDER = Path(__file__).parent / "locale"
LANGUAGES = ("en", "vi")

# gettext(3): the first that is set decides.
_VARIABLES = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")

# What stands between the parts of a sentence that one program says and another one shows.
_BETWEEN = re.compile(r" \(0x[0-9A-F]{2}\); |\[Errno [0-9]+\] |: |; | \(|\)")

_chosen: ContextVar[str] = ContextVar("language", default="")


def _(text: str) -> str:
    """`text` in the language in use."""
    return _catalogue(language()).gettext(text)


def plural(one: str, many: str, count: int) -> str:
    """`one` or `many`, whichever is right for `count`, in the language in use."""
    return _catalogue(language()).ngettext(one, many, count)


def spoken(said: str) -> str:
    """What pure code decided to say, in the language in use; any other text as far as known."""
    if not isinstance(said, Text):
        return known(said)
    if said.parts:
        return said.template.join(spoken(part) for part in said.parts)
    values = {
        name: spoken(value) if isinstance(value, str) else value
        for name, value in said.values.items()
    }
    template = _(said.template) if said.template else ""
    return template.format(**values) if values else template


def known(said: str) -> str:
    """What another program said in English, as far as its parts are in the catalogue.

    The daemon's words reach the doctor through a file, and carry names and numbers: "a.example: no
    answer". Each part is looked up, the longest first; what nobody marked is said as it is.
    """
    told = _(said) if said else ""
    cut = _BETWEEN.search(said)
    if told != said or cut is None:
        return told
    return known(said[: cut.start()]) + cut.group() + known(said[cut.end() :])


def of_system(error: OSError) -> str:
    """What the system says is wrong, as far as a technician meets it often."""
    return known(error.strerror or str(error))


def N_(text: str) -> str:  # noqa: N802  gettext's own name
    """Mark `text` for the catalogue; it is looked up by `_` where it is shown."""
    return text


def language() -> str:
    """`en` or `vi`."""
    if chosen := _chosen.get():
        return chosen
    for name in _VARIABLES:
        for wanted in os.environ.get(name, "").split(":"):
            if wanted:
                short = wanted.split(".", maxsplit=1)[0].split("_", maxsplit=1)[0].lower()
                return short if short in LANGUAGES else "en"
    return "en"


@contextmanager
def in_language(wanted: str) -> Iterator[None]:
    """Speak `wanted` meanwhile: a label is for who reads it, not for who prints it."""
    before = _chosen.set(wanted)
    try:
        yield
    finally:
        _chosen.reset(before)


@cache
def _catalogue(wanted: str) -> gettext.NullTranslations:
    return gettext.translation(DOMAIN, FOLDER, [wanted], fallback=True)


# errno(3) and netdb(3), as Python says them whatever the language.
OF_SYSTEM = (
    N_("Connection refused"),
    N_("Connection reset by peer"),
    N_("Device or resource busy"),
    N_("File exists"),
    N_("Input/output error"),
    N_("Is a directory"),
    N_("Network is unreachable"),
    N_("No route to host"),
    N_("No space left on device"),
    N_("No such device"),
    N_("No such file or directory"),
    N_("Not a directory"),
    N_("Operation not permitted"),
    N_("Permission denied"),
    N_("Read-only file system"),
)

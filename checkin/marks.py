"""Words that pure code decides on; the language is known where they are shown."""

from collections.abc import Sequence


class Text(str):
    """English that knows how it was made, so that `words.spoken` can say it otherwise."""

    __slots__ = ("parts", "template", "values")

    template: str
    values: dict[str, object]
    parts: tuple[str, ...]


def text(template: str, /, **values: object) -> Text:
    """`template` is in the catalogue; `{name}` in it stands for a value, which may be a `Text`."""
    made = Text(template.format(**values) if values else template)
    made.template, made.values, made.parts = template, values, ()
    return made


def said(error: Exception) -> str:
    """What `error` says: the `Text` it was raised with, which `str` would make plain English of."""
    first = error.args[0] if error.args else ""
    return first if isinstance(first, Text) else str(error)


def joined(between: str, parts: Sequence[str]) -> Text:
    """The texts one after the other; `between` is said as it stands."""
    made = Text(between.join(parts))
    made.template, made.values, made.parts = between, {}, tuple(parts)
    return made

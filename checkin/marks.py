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


def joined(between: str, parts: Sequence[str]) -> Text:
    """The texts one after the other; `between` is said as it stands."""
    made = Text(between.join(parts))
    made.template, made.values, made.parts = between, {}, tuple(parts)
    return made

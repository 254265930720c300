"""A payload that has the shape of a credential and breaks one of its rules."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Malformed:
    """`error` is a word for the log and the reports: it never holds a part of the payload."""

    error: str

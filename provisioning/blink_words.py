"""What the lights say, in words for a label: verdicts, the doctor's parts, first boot's steps."""

from typing import NamedTuple

from checkin.words import N_


class Meaning(NamedTuple):
    """One pattern of `kiosk.logic.feedback`, as short as a label wants it."""

    light: str
    sound: str
    meaning: str


# By the pattern's name, in the order of a visitor's day.
LIGHTS: dict[str, Meaning] = {
    "accepted-in": Meaning(N_("green"), N_("1 high"), N_("Come in: recorded")),
    "accepted-out": Meaning(N_("green, broken once"), N_("2 high"), N_("Goodbye: recorded")),
    "repeated": Meaning(N_("green, short"), N_("a tick"), N_("You are in already")),
    "refused": Meaning(N_("red, long"), N_("1 low, long"), N_("Not taken here: ask the staff")),
    "foreign": Meaning(N_("red, 3 short"), N_("3 low, short"), N_("Not a visitor's code")),
    "fault": Meaning(
        N_("red, long-short twice"),
        N_("low, the same"),
        N_("Out of order: use the paper form"),
    ),
    "starting": Meaning(N_("amber, every second"), "", N_("Starting")),
    "ready": Meaning(N_("green, every 3 s"), "", N_("Ready")),
    "not-synced": Meaning(
        N_("green, then amber, every 3 s"), "", N_("Ready; not confirmed for long")
    ),
    "out-of-order": Meaning(N_("red, every second"), "", N_("Out of order: use the paper form")),
}

# By the name in `checkin.blinks.PARTS`.
PARTS: dict[str, str] = {
    "camera": N_("camera"),
    "lights": N_("lights and buzzer"),
    "buttons": N_("buttons"),
    "clock": N_("clock not set"),
    "disk": N_("memory card"),
    "outbox": N_("outbox: damaged or full"),
    "broker": N_("no connection to the broker"),
    "certificate": N_("certificate"),
    "central": N_("the central doesn't answer"),
    "kiosk": N_("the kiosk's program"),
    "rules": N_("settings and lists"),
}

# By the name in `checkin.blinks.STEPS`.
STEPS: dict[str, str] = {
    "packages": N_("installing: write the card again"),
    "partition": N_("the card's data partition: write the card again"),
    "settings": N_("settings missing: write the card again"),
    "identity": N_("token missing: write the card again"),
    "seed": N_("secrets not wiped: try another card"),
    "read-only": N_("card stays writable: call support"),
    "start": N_("programs don't start: call support"),
    "enrolment": N_("not enrolled: call support"),
}

"""What a kiosk without a screen counts out in blinks: the doctor's parts, first boot's steps.

Their numbers are blinked, printed on labels and read out over the telephone: what comes later is
added at the end.
"""

# The doctor's, in the order in which one depends on another.
PARTS = (
    "camera",
    "lights",
    "buttons",
    "clock",
    "disk",
    "outbox",
    "broker",
    "certificate",
    "central",
    "kiosk",
    "rules",
)

# First boot's, in the order in which it takes them (provisioning/first_boot/first-boot.sh; the last
# is the daemon's); the one that failed is counted.
STEPS = (
    "packages",
    "partition",
    "settings",
    "identity",
    "seed",
    "read-only",
    "start",
    "enrolment",
)

"""Parsers with a mistake planted in them: what a fuzzer that bites must find in seconds."""

# Each is compared with each: a few tenths of a second.
ROWS = 3_000


def crashes(data):
    """Raises what nobody documented, four branches deep: one in 2**32 for who doesn't see them."""
    if data[:1] == b"V":
        if data[1:2] == b"R":
            if data[2:3] == b"1":
                if data[3:4] == b":":
                    raise KeyError("planted")
                return 3
            return 2
        return 1
    return 0


def hangs(data):
    """Never comes back from one token."""
    at = 0
    while data[:4] == b"VR1:" and at < len(data):
        at += 0 if data[at:].startswith(b"|boom|") else 1
    return at


def dawdles(data):
    """Comes back from one token, and much too late."""
    if data[:4] != b"VR1:" or b"|boom|" not in data:
        return 0
    return sum(one ^ two for one in range(ROWS) for two in range(ROWS))


def swells(data):
    """Asks for more memory than a Pi has to give."""
    if data[:4] == b"VR1:" and b"|boom|" in data:
        return len(bytearray(2**30))
    return 0

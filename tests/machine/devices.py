"""Run inside a unit's sandbox: open each device to read and write, and tell what happened.

Alone, with the system's Python: `devices.py FILE DEVICE…` writes one JSON object.
"""

import json
import os
import sys
from pathlib import Path


def opened(device):
    try:
        os.close(os.open(device, os.O_RDWR | os.O_NONBLOCK))
    except OSError as error:
        return os.strerror(error.errno)
    return "done"


if __name__ == "__main__":
    file, *devices = sys.argv[1:]
    Path(file).write_text(json.dumps({device: opened(device) for device in devices}))

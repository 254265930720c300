"""Run the installed kiosk on a pretended camera and pretended pins: `whole.py run`, inside.

Copied into the machine beside on_a_pi.py of tests/real_libraries, which lists what is pretended of
the camera. Of the pins it is the chip (a shared object loaded before) and the board's revision,
which gpiozero reads from a Pi's own files.
"""

import runpy
import sys

from gpiozero.pins.lgpio import LGPIOFactory
from on_a_pi import become_a_pi

PI_4B = 0xC03115

if __name__ == "__main__":
    LGPIOFactory._get_revision = lambda _self: PI_4B
    become_a_pi()
    sys.argv[0] = "vaora-kiosk"
    runpy.run_module("kiosk", run_name="__main__", alter_sys=True)

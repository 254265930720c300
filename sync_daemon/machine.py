"""What the Pi's kernel says of its own health: temperature and undervoltage."""

from pathlib import Path

# Documentation/ABI/testing/sysfs-class-thermal: thousandths of a degree Celsius.
TEMPERATURE = Path("/sys/class/thermal/thermal_zone0/temp")

# drivers/hwmon/raspberrypi-hwmon.c: 1 once the firmware has seen too low a voltage.
HWMON = Path("/sys/class/hwmon")
UNDERVOLTAGE = "in0_lcrit_alarm"
FIRMWARE_HWMON = "rpi_volt"


def machine(
    temperature: Path = TEMPERATURE, hwmon: Path = HWMON
) -> tuple[float | None, bool | None]:
    """Degrees Celsius, and whether the supply sagged. None where this machine can't tell."""
    return _temperature(temperature), _undervoltage(hwmon)


def _temperature(file: Path) -> float | None:
    try:
        return int(file.read_text(encoding="ascii")) / 1000
    except (OSError, ValueError):
        return None


def _undervoltage(hwmon: Path) -> bool | None:
    try:
        for device in sorted(hwmon.iterdir()):
            if (device / "name").read_text(encoding="ascii").strip() == FIRMWARE_HWMON:
                return (device / UNDERVOLTAGE).read_text(encoding="ascii").strip() == "1"
    except OSError:
        return None
    return None

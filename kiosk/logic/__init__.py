"""What the kiosk decides, without I/O: time, chance and keys are arguments."""

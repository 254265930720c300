"""What turns a blank Pi into a kiosk, and a broker into one that kiosks may trust.

`broker/` holds the mosquitto configuration and access list of a fleet.
"""

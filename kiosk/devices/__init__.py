"""The edge: camera, decoder, panel, and their simulated twins, which ship.

Each third-party package is known to one module here and to no other.
"""

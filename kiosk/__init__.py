"""The kiosk at the door: watch the camera, recognise credentials, record check-ins, say so.

    camera ─► decoder ─► station.judge ─► outbox.append ─► panel.play
    frames    payloads   a verdict        on disk          light and sound

A green light is a promise: the check-in is on disk before the light comes on.
"""

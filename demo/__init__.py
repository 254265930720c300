"""The main job, end to end, on one machine: `make demo`.

    people    made-up visitors with Vietnamese names
    scenes    codes as a camera sees them, rendered from a seed
    link      a network that can be cut
    programs  the real programs as processes: broker, kiosk, sync daemon, central

Tests and benches use these parts too.
"""

"""The sync daemon: carry check-ins from the outbox to the central over MQTT.

    outbox.pending ─► Sender ⇄ broker ⇄ Receiver ─► central
                      publish, wait      receipts

`protocol` and `topics` are pure and know both ends; `broker` is the edge.
"""

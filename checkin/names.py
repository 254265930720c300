"""Who made the check-ins that wait: a kiosk that was renamed must not send them as another."""

from checkin import event
from checkin.event import EventError
from checkin.outbox import Outbox


def waiting_under_other_names(outbox: Outbox, *, checkpoint: str, kiosk: str) -> str:
    """What to do about check-ins that wait under other names than these; empty if none do.

    A check-in carries its checkpoint and kiosk, and a central takes it only from them.
    """
    confirmed = outbox.summary().confirmed
    for body in outbox.pending(confirmed, limit=1).bodies:
        try:
            data = event.decode(body).data
        except EventError:
            return ""  # damaged: the daemon sets it aside
        if (data.checkpoint, data.kiosk) != (checkpoint, kiosk):
            return (
                f"{outbox.pending_count()} check-ins of kiosk {data.kiosk} at checkpoint "
                f'{data.checkpoint} still wait. Put `id = "{data.kiosk}"` and `checkpoint = '
                f'"{data.checkpoint}"` back under [kiosk] until `vaora-sync status` says that '
                "nothing waits, then rename it"
            )
    return ""

"""What a reader may know beside the payload: the time, and whom this kiosk trusts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

# RFC 8392 and RFC 7519 allow some leeway for clocks; health passes were checked with a minute's.
LEEWAY_S = 60.0


@dataclass(frozen=True, slots=True)
class ShcKey:
    """One public key of a SMART Health Card issuer: a point on P-256. `iss` is empty if unknown."""

    kid: str
    x: bytes
    y: bytes
    iss: str = ""


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose signatures count. All of it comes from signed files.

    `signers` are the certificates (DER) of health authorities by key id, `pass_keys` the Ed25519
    keys of the desks that make our passes, `revoked` the ids of passes that were called back.
    """

    signers: Mapping[bytes, tuple[bytes, ...]] = field(default_factory=dict)
    shc_keys: tuple[ShcKey, ...] = ()
    pass_keys: Mapping[bytes, bytes] = field(default_factory=dict)
    revoked: frozenset[str] = frozenset()


NO_TRUST = Trust()


@dataclass(frozen=True, slots=True)
class Here:
    """Where and when a payload is read.

    `synced` is whether the clock was ever set. One that wasn't is behind, never ahead: it can
    prove that something is too old, and not that it is too new.
    """

    at: datetime
    synced: bool = True
    trust: Trust = NO_TRUST
    visitor_prefix: str = "VISITOR:"

    def is_past(self, second: float | None) -> bool:
        """Whether the moment `second` (since 1970, UTC) is over."""
        return second is not None and self.at.timestamp() - LEEWAY_S > second

    def is_before(self, second: float | None) -> bool:
        """Whether `second` is still to come, as far as this clock can tell."""
        return self.synced and second is not None and self.at.timestamp() + LEEWAY_S < second

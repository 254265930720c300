"""`vaora-pass`: the front desk's tool. Keys, passes, and the signed lists that kiosks go by."""

import os
import re
import secrets
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from checkin import VERSION, cose, passes, signed_list
from checkin.cose import CoseError, SigningKey
from checkin.passes import PASS_KINDS, PassKind
from checkin.seal import CentralSeal, SealError
from checkin.signed_list import CardKey, Revocations, SignedSettings, Signer, TrustList
from provisioning import authorities, qr
from provisioning.authorities import AuthoritiesError

_PASS_ID = re.compile(r"[0-9a-f]{16}")

key_option = click.option(
    "--key",
    "key_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    required=True,
    help="The private key made by `keygen`.",
)


@click.group(help=__doc__)
@click.version_option(VERSION, prog_name="vaora-pass")
def main() -> None:
    pass


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
def keygen(file: Path) -> None:
    """Make a signing key in FILE and print its public half.

    One key signs passes (its public half goes on the trust list), another is the authority that
    signs the lists themselves (its public half goes into the kiosks' settings).
    """
    key = SigningKey(secrets.token_bytes(cose.ED25519_BYTES))
    try:
        # A key that is there is never written over: passes in people's pockets hang on it.
        opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise click.ClickException(f"{file}: can't be made ({error.strerror})") from error
    with os.fdopen(opened, "wb") as out:
        out.write(b64encode(key.secret) + b"\n")
    click.echo(b64encode(key.public).decode())


@main.command()
@key_option
@click.option("--holder", required=True, help="The name as the desk knows it.")
@click.option("--kind", type=click.Choice(PASS_KINDS), default="visitor", show_default=True)
@click.option("--hours", type=click.FloatRange(0.1, 24 * 3660), default=12.0, show_default=True)
@click.option(
    "--from", "begins", type=click.DateTime(["%Y-%m-%dT%H:%M"]), help="UTC.  [default: now]"
)
@click.option("--checkpoint", "checkpoints", multiple=True, help="Only there; may be repeated.")
@click.option(
    "--svg", type=click.Path(path_type=Path, dir_okay=False), help="Draw the code into this file."
)
def issue(
    key_file: Path,
    holder: str,
    kind: PassKind,
    hours: float,
    begins: datetime | None,
    checkpoints: tuple[str, ...],
    svg: Path | None,
) -> None:
    """Make a pass. Prints its id (for the desk's list, and to revoke it) and the code's text."""
    start = begins.replace(tzinfo=UTC) if begins else datetime.now(UTC)
    pass_id = secrets.token_bytes(passes.PASS_ID_BYTES)
    try:
        text = passes.issue(
            _key(key_file),
            kind=kind,
            pass_id=pass_id,
            holder=holder,
            not_before=start,
            expires=start + timedelta(hours=hours),
            checkpoints=checkpoints,
        )
    except (ValueError, OverflowError) as error:
        raise click.ClickException(str(error)) from error
    if svg is not None:
        try:
            svg.write_text(qr.svg(text), encoding="utf-8")
        except OSError as error:
            raise click.ClickException(f"{svg}: {error.strerror}") from error
    click.echo(f"{pass_id.hex()}\t{text}")


@main.command()
@key_option
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True)
@click.option("--version", "number", type=click.IntRange(1), required=True, help="Ever higher.")
@click.argument("pass_ids", nargs=-1)
def revoke(key_file: Path, out: Path, number: int, pass_ids: tuple[str, ...]) -> None:
    """Sign the list of all revoked PASS_IDS: ids as `issue` printed them, the earlier ones too."""
    wrong = [each for each in pass_ids if not _PASS_ID.fullmatch(each)]
    if wrong:
        raise click.ClickException(f"{wrong[0]!r} is no pass id: 16 hexadecimal digits")
    document = Revocations(number, _now(), sorted(set(pass_ids)))
    _write(out, signed_list.sign(document, _key(key_file)))


@main.command()
@key_option
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True)
@click.option("--version", "number", type=click.IntRange(1), required=True, help="Ever higher.")
@click.option("--pass-key", "pass_keys", multiple=True, help="A public key that `keygen` printed.")
@click.option(
    "--certificates",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A folder of health authorities' certificates, DER, *.der or *.cer.",
)
@click.option(
    "--signers",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help='A JSON list of {"kid", "cert_der_b64"}.',
)
@click.option(
    "--card-keys",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help='A JSON list of {"kid", "x", "y", "iss"} of SMART Health Card issuers.',
)
def trust(
    key_file: Path,
    out: Path,
    number: int,
    pass_keys: tuple[str, ...],
    certificates: Path | None,
    signers: Path | None,
    card_keys: Path | None,
) -> None:
    """Sign a trust list: whose passes, vaccine certificates and health cards count."""
    try:
        for text in pass_keys:
            cose.ed25519_key(cose.from_base64(text))
    except CoseError as error:
        raise click.ClickException("--pass-key is no public key") from error
    with _in_words():
        document = TrustList(
            number,
            _now(),
            signers=[
                *(authorities.signers(certificates) if certificates else []),
                *(authorities.listed(signers, list[Signer]) if signers else []),
            ],
            card_keys=authorities.listed(card_keys, list[CardKey]) if card_keys else [],
            pass_keys=list(pass_keys),
        )
    _write(out, signed_list.sign(document, _key(key_file)))


@main.command()
@key_option
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True)
@click.option("--version", "number", type=click.IntRange(1), required=True, help="Ever higher.")
@click.option("--seal", required=True, help="The central's new public key, as its keygen says it.")
def settings(key_file: Path, out: Path, number: int, seal: str) -> None:
    """Sign settings for kiosks: the key that they seal personal fields to from now on.

    Publish OUT, retained, to vaora/v1/<checkpoint>/<kiosk>/settings. Keep the central's old key
    too: backlogs that were sealed to it may still come.
    """
    try:
        CentralSeal(seal)
    except SealError as error:
        raise click.ClickException(f"--seal: {error}") from error
    _write(out, signed_list.sign(SignedSettings(number, _now(), seal), _key(key_file)))


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except AuthoritiesError as error:
        raise click.ClickException(str(error)) from error


def _key(file: Path) -> SigningKey:
    try:
        return SigningKey(cose.from_base64(file.read_text(encoding="ascii")))
    except (OSError, ValueError) as error:
        raise click.ClickException(f"{file}: is no key made by `vaora-pass keygen`") from error


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _write(file: Path, raw: bytes) -> None:
    """Replace `file`, whole: a kiosk may be looking at it."""
    beside = file.with_suffix(".new")
    try:
        beside.write_bytes(raw)
        beside.replace(file)
    except OSError as error:
        raise click.ClickException(f"{file}: {error.strerror}") from error


if __name__ == "__main__":
    main()

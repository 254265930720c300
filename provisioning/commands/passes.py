"""`vaora-provision pass`: the way in for who has no code of their own, on paper."""

import json
import os
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import get_args

import click
import msgspec

from checkin import whole
from checkin.command_line import printable
from checkin.passes import PASS_KINDS
from checkin.words import _, in_language, of_system, plural
from provisioning import inventory, issuing, paper, pass_sheets, passes_list, wanted
from provisioning.commands.options import fleet_option, in_words, opened
from provisioning.fleet_folder import (
    FleetError,
    FleetFolder,
    FleetSettings,
    Language,
    signing_key,
)
from provisioning.inventory import InventoryError
from provisioning.issuing import Pass
from provisioning.paper import PaperError
from provisioning.passes_list import STATES, PassesError, Row
from provisioning.sheet import LONGEST_FILE_BYTES
from provisioning.wanted import Desk, UnfitError, Wanted

language_option = click.option(
    "--language",
    type=click.Choice(get_args(Language)),
    help="On the paper.  [default: the fleet's]",
)
pdf_option = click.option(
    "--pdf",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the sheets here.  [default: passes-ID.pdf in this folder]",
)


@click.group(name="pass", help=__doc__)
def pass_() -> None:
    pass


@pass_.command()
@fleet_option
@click.option("--holder", default="", help="The name as the desk knows it.")
@click.option("--kind", type=click.Choice(PASS_KINDS), default="visitor", show_default=True)
@click.option(
    "--from", "begins", default="", metavar="TIME", help="2026-12-01 07:30  [default: now]"
)
@click.option("--until", default="", metavar="TIME", help="2026-12-01 18:00, or a day, to its end.")
@click.option("--hours", default="", metavar="HOURS", help="Or how long.  [default: 12]")
@click.option("--checkpoint", "checkpoints", multiple=True, help="Only there; repeatable.")
@click.option("--form-number", default="", help="Of the paper form that the visitor filled in.")
@click.option(
    "--csv",
    "file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help=f"One pass for each row; columns: {', '.join(wanted.COLUMNS)}.",
)
@click.option("--json", "as_json", is_flag=True, help="A JSON line each, with the code's text.")
@language_option
@pdf_option
def issue(
    fleet: Path,
    file: Path | None,
    language: Language | None,
    pdf: Path | None,
    checkpoints: tuple[str, ...],
    *,
    as_json: bool,
    **told: str,
) -> None:
    """Make passes and print them: for one --holder, or for everybody in a --csv file.

    Times are the fleet's own. Every mistake is said before the first pass is made.
    """
    folder, settings = opened(fleet)
    cells = {
        "holder": told["holder"],
        "kind": told["kind"],
        "from": told["begins"],
        "until": told["until"],
        "hours": told["hours"],
        "checkpoints": " ".join(checkpoints),
        "form_number": told["form_number"],
    }
    if bool(cells["holder"]) == bool(file):
        raise click.ClickException(_("say for whom: --holder NAME, or --csv FILE"))
    at = datetime.now(UTC)
    with in_words(FleetError, PaperError, PassesError):
        desk = Desk(at, settings.utc_offset_h, _checkpoints(folder), paper.unprintable)
        asked = _of_file(file, desk) if file else [_of_options(cells, desk)]
        made = issuing.issue(asked, signing_key(folder.pass_key), at=at, random=secrets.token_bytes)
        target = _target(made, pdf)
        sheets = _sheets(made, settings, language, at)
        # On the list first: a pass that is printed and not on it could never be called back.
        passes_list.add(folder.passes, [one.row for one in made])
        _write(sheets, made, target)
    _say_printed(made, target, as_json=as_json)


@pass_.command(name="print")
@fleet_option
@click.option("--batch", is_flag=True, help="And those that were issued in one go with them.")
@click.argument("pass_ids", nargs=-1, required=True, metavar="PASS_ID…")
@language_option
@pdf_option
def print_(
    fleet: Path,
    pass_ids: tuple[str, ...],
    language: Language | None,
    pdf: Path | None,
    *,
    batch: bool,
) -> None:
    """Print passes again that are on the list: the same ones, when a sheet was lost."""
    folder, settings = opened(fleet)
    at = datetime.now(UTC)
    with in_words(FleetError, PaperError, PassesError):
        rows = passes_list.chosen(passes_list.read(folder.passes), frozenset(pass_ids), batch=batch)
        for row in rows:
            if row.state(at) in {"over", "called back"}:
                raise PassesError(
                    _("{pass_id}: counts no more ({state}); issue a new one").format(
                        pass_id=row.pass_id, state=_(STATES[row.state(at)])
                    )
                )
        key = signing_key(folder.pass_key)
        made = [Pass(row, issuing.sign(row, key)) for row in rows]
        target = _target(made, pdf)
        _write(_sheets(made, settings, language, at), made, target)
    _say_printed(made, target, as_json=False)


@pass_.command(name="list")
@fleet_option
@click.option("--json", "as_json", is_flag=True, help="A JSON line each, for programs.")
@click.option("--forget-expired", is_flag=True, help="First remove the names of passes that ended.")
def list_(fleet: Path, *, as_json: bool, forget_expired: bool) -> None:
    """Show the passes that were given out."""
    folder, settings = opened(fleet)
    at = datetime.now(UTC)
    with in_words(PassesError):
        if forget_expired:
            passes_list.change(
                folder.passes, lambda rows: passes_list.without_names_of_the_past(rows, at)
            )
        rows = passes_list.read(folder.passes)
    if as_json:
        for row in rows:
            click.echo(msgspec.json.encode(row).decode())
        return
    if not rows:
        click.echo(_("No pass was given out yet: vaora-provision pass issue makes one."))
    for row in rows:
        click.echo(_as_line(row, at, _zone(settings)))


@pass_.command()
@fleet_option
@click.option("--holder", default="", help="All passes of who has this name.")
@click.argument("pass_ids", nargs=-1, metavar="[PASS_ID…]")
def revoke(fleet: Path, holder: str, pass_ids: tuple[str, ...]) -> None:
    """Call passes back, by their ids or by the name of their holder."""
    folder, _settings = opened(fleet)
    if not holder and not pass_ids:
        raise click.ClickException(_("say which: PASS_ID…, or --holder NAME"))
    at = datetime.now(UTC)
    ids = frozenset(pass_ids)
    count = 0

    def new(rows: list[Row]) -> list[Row]:
        nonlocal count
        after = passes_list.called_back(rows, ids=ids, holder=wanted.tidy(holder), at=at)
        count = sum(row.state(at) != "called back" for row in rows)
        count -= sum(row.state(at) != "called back" for row in after)
        return after

    with in_words(PassesError):
        passes_list.change(folder.passes, new)
    told = plural("{count} pass is called back.", "{count} passes are called back.", count)
    click.echo(told.format(count=count))
    click.echo(_("Kiosks refuse them once you have told them: vaora-provision send revocations"))


def _of_options(cells: dict[str, str], desk: Desk) -> Wanted:
    try:
        return wanted.one(cells, desk)
    except UnfitError as error:
        raise click.ClickException(f"--{str(error).replace('_', '-', 1)}") from error


def _of_file(file: Path, desk: Desk) -> Sequence[Wanted]:
    try:
        with file.open("rb") as opened_:
            content = opened_.read(LONGEST_FILE_BYTES + 1)
    except OSError as error:
        raise click.ClickException(
            _("{file}: can't be read ({why})").format(file=file, why=of_system(error))
        ) from error
    found = wanted.survey(content, desk)
    for mistake in found.mistakes:
        click.echo(mistake.text(file.name), err=True)
    if found.mistakes:
        count = len(found.mistakes)
        told = plural("{count} mistake", "{count} mistakes", count).format(count=count)
        raise click.ClickException(
            _("{mistakes} in {file}, no pass was made; correct them and try again").format(
                mistakes=told, file=file
            )
        )
    return found.wanted


def _checkpoints(folder: FleetFolder) -> frozenset[str]:
    """Those of the inventory; none where there is no list to know them by."""
    if not folder.inventory.exists():
        return frozenset()
    try:
        return frozenset(place.checkpoint for place in inventory.read(folder.inventory))
    except InventoryError:
        click.echo(
            _("The inventory has mistakes (vaora-provision check): checkpoints weren't looked up."),
            err=True,
        )
        return frozenset()


def _sheets(
    made: Sequence[Pass], settings: FleetSettings, language: Language | None, at: datetime
) -> bytes:
    with in_language(language or settings.language):
        return pass_sheets.pdf(made, fleet=settings.name, zone=_zone(settings), at=at)


def _target(made: Sequence[Pass], pdf: Path | None) -> Path:
    target = pdf or Path(f"passes-{made[0].row.pass_id}.pdf")
    if target.exists():
        raise PaperError(
            _("{target}: is there already; name another with --pdf").format(target=target)
        )
    if not os.access(target.absolute().parent, os.W_OK | os.X_OK):
        raise PaperError(
            _(
                "{target}: can't be made there; name a folder that is there and yours with --pdf"
            ).format(target=target)
        )
    return target


def _write(sheets: bytes, made: Sequence[Pass], target: Path) -> None:
    try:
        whole.write_new(target, sheets)  # names of visitors: for who made them alone
    except OSError as error:
        raise PaperError(
            _(
                "{target}: can't be written ({why}); the passes are made, "
                "print them: vaora-provision pass print --batch {pass_id}"
            ).format(target=target, why=of_system(error), pass_id=made[0].row.pass_id)
        ) from error


def _say_printed(made: Sequence[Pass], target: Path, *, as_json: bool) -> None:
    for one in made:
        if as_json:
            click.echo(json.dumps({"pass_id": one.row.pass_id, "text": one.text}))
        else:
            click.echo(f"{one.row.pass_id}  {one.row.holder}")
    told = plural("{count} pass is in {file}", "{count} passes are in {file}", len(made))
    click.echo(
        told.format(count=len(made), file=target)
        + _("; print it at 100 % and cut along the lines"),
        err=as_json,
    )


def _as_line(row: Row, at: datetime, zone: timezone) -> str:
    until = f"{row.ends.astimezone(zone):%Y-%m-%d %H:%M}"
    holder = row.holder or _("(forgotten)")
    cells = (row.pass_id, f"{row.kind:9}", f"{_(STATES[row.state(at)]):12}", until, holder)
    return printable("  ".join((*cells, row.checkpoints)).rstrip())


def _zone(settings: FleetSettings) -> timezone:
    return timezone(timedelta(hours=settings.utc_offset_h))

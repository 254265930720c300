"""`docs/asyncapi.yaml` is the contract: real messages keep it, and it is about real topics."""

import re
from typing import get_args, get_type_hints

import msgspec
import pytest
from jsonschema import ValidationError

from checkin import claim, event
from checkin.claim import Answer, Claim, Renewal, Token
from checkin.event import Data
from checkin.settings import Door, Epidemic, Policy
from checkin.signed_list import (
    LONGEST_PACKAGE_BYTES,
    CardKey,
    Release,
    Revocations,
    SignedSettings,
    Signer,
    TrustList,
)
from kiosk.logic import credentials
from sync_daemon import topics
from sync_daemon.status import CURES
from sync_daemon.topics import Address, Anchor, OutboxState, Receipt, Refusal, State
from tests.contract_document import DOCUMENT, check
from tests.made_up import NOON, body

ID = event.uuid7(NOON, bytes(10))


def test_a_check_in_with_an_id_of_another_kind_breaks_the_contract():
    with pytest.raises(ValidationError):
        check(b"[" + body(1, id="7") + b"]", "checkins")


def test_a_check_in_as_the_door_writes_it():
    check(b"[" + body(1, id=ID) + b"," + body(2, id=ID) + b"]", "checkins")


def test_a_receipt():
    check(topics.encode(Receipt("ob", 7)), "receipt")
    full = Receipt("ob", 0, refused=[Refusal(3, "x" * 200)] * 64, again=[(1, 2)] * 16)
    check(topics.encode(full), "receipt")


def test_a_state_and_the_last_will():
    check(topics.encode(State(online=False)), "state")
    outbox = OutboxState("ob", 3, 2, 1, "2026-11-22T05:00:00+00:00", 0, gone=[(1, 1)])
    check(topics.encode(State(online=True, faults=["camera"], outbox=outbox)), "state")


def test_a_claim_its_answers_and_a_renewal():
    token = Token(bytes(16))
    asked = claim.claim(token, kiosk="k1", checkpoint="cp", request="PEM", nonce="0" * 32)
    check(claim.encode(asked), "claim")
    check(claim.encode(Renewal("PEM", "0" * 32)), "renewal")
    check(claim.encode(claim.answer(asked, token, certificate="PEM")), "answer")
    check(claim.encode(claim.answer(asked, None, refused="unknown")), "answer")
    check(claim.encode(Answer("0" * 32, "PEM")), "answer")
    said = DOCUMENT["components"]["schemas"]["answer"]["properties"]["refused"]["enum"]
    assert set(said) == {"", *claim.REFUSALS}


@pytest.mark.parametrize(
    ("message", "schema"),
    [
        (b"[]", "checkins"),
        (b"[{}]", "checkins"),
        (b"[" + body(1, id=ID).replace(b'"in"', b'"up"') + b"]", "checkins"),
        (b"[" + body(1, id=ID).replace(b'"person"', b'"people"') + b"]", "checkins"),
        (b'{"through":1}', "receipt"),
        (b'{"outbox":"ob","through":-1}', "receipt"),
        (b'{"outbox":"ob","through":1,"again":[[1]]}', "receipt"),
        (b'{"online":"yes"}', "state"),
        (b'{"online":true,"faults":["hunger"]}', "state"),
    ],
)
def test_what_breaks_the_contract_is_seen(message, schema):
    with pytest.raises(ValidationError):
        check(message, schema)


def test_the_channels_are_the_topics():
    channels = {name: channel["address"] for name, channel in DOCUMENT["channels"].items()}
    address = Address("{checkpoint}", "{kiosk}")
    assert channels == {
        "checkins": address.checkins, "state": address.state, "receipt": address.receipt,
        "settings": address.settings, "renewal": address.renewal,
        "certificate": address.certificate, "claim": topics.claim_request("{kiosk}"),
        "claimAnswer": topics.claim_answer("{kiosk}"),
        "trust": topics.TRUST, "revocations": topics.REVOCATIONS,
        "update": topics.update("{arch}"),
        "updatePart": topics.update_part("{arch}", "{sha256}", "{part}"),
    }  # fmt: skip
    types = {name: m["contentType"] for name, m in DOCUMENT["components"]["messages"].items()}
    assert types["checkins"] == topics.CHECKINS_TYPE
    assert types["state"] == types["receipt"] == topics.JSON_TYPE
    signed = {name for name, each in types.items() if each == topics.SIGNED_TYPE}
    assert signed == {"settings", "trust", "revocations", "release"}
    assert types["part"] == topics.PART_TYPE


def test_every_topic_that_the_code_lists_has_its_channel():
    listed = set(re.findall(r"vaora/v1/[^\s,]+", topics.__doc__))
    addresses = {channel["address"] for channel in DOCUMENT["channels"].values()}
    assert listed == {each.replace("{", "<").replace("}", ">") for each in addresses}


def _untagged(schema):
    return {
        "properties": {key: each for key, each in schema["properties"].items() if key != "type"}
    }


def test_what_is_signed():
    issued = "2026-11-22T00:00:00+00:00"
    said = SignedSettings(1, issued, door=Door("out"), policy=Policy(), epidemic=Epidemic())
    check(msgspec.json.encode(said), "settings")
    check(msgspec.json.encode(SignedSettings(1, issued, "key")), "settings")
    lists = TrustList(1, issued, [Signer("a", "b")], [CardKey("c")], ["d"])
    check(msgspec.json.encode(lists), "trust")
    check(msgspec.json.encode(Revocations(1, issued, ["00" * 8])), "revocations")
    with pytest.raises(ValidationError):
        check(msgspec.json.encode(Revocations(1, issued, ["Anna"])), "revocations")
    release = Release(1, issued, "0.2.0", "arm64", LONGEST_PACKAGE_BYTES, "0" * 64)
    check(msgspec.json.encode(release), "release")
    longer = msgspec.structs.replace(release, bytes=LONGEST_PACKAGE_BYTES + 1)
    with pytest.raises(ValidationError):
        check(msgspec.json.encode(longer), "release")
    part = DOCUMENT["components"]["messages"]["part"]["payload"]
    assert part["maxLength"] == topics.PART_BYTES


def test_the_schemas_name_every_field_and_no_other():
    schemas = DOCUMENT["components"]["schemas"]
    for schema, struct in (
        (schemas["checkin"], event.CheckIn),
        (schemas["data"], event.Data),
        (schemas["data"]["properties"]["credential"], event.Shown),
        (schemas["data"]["properties"]["clock"], event.Believed),
        (schemas["data"]["properties"]["sealed"], event.Sealed),
        (schemas["state"], State),
        (schemas["state"]["properties"]["outbox"], OutboxState),
        (schemas["state"]["properties"]["anchors"]["items"], Anchor),
        (schemas["receipt"], Receipt),
        (schemas["claim"], Claim),
        (schemas["answer"], Answer),
        (schemas["renewal"], Renewal),
        (_untagged(schemas["settings"]), SignedSettings),
        (_untagged(schemas["trust"]), TrustList),
        (_untagged(schemas["revocations"]), Revocations),
        (_untagged(schemas["release"]), Release),
        (schemas["receipt"]["properties"]["refused"]["items"], Refusal),
    ):
        assert set(schema["properties"]) == set(struct.__struct_fields__), struct


def test_the_words_are_the_codes():
    data = DOCUMENT["components"]["schemas"]["data"]["properties"]
    hints = get_type_hints(Data)
    assert tuple(data["direction"]["enum"]) == get_args(hints["direction"])
    assert tuple(data["direction_by"]["enum"]) == get_args(hints["direction_by"])
    assert tuple(data["credential"]["properties"]["kind"]["enum"]) == credentials.KINDS


def test_every_fault_that_has_a_cure_is_in_the_contract():
    named = DOCUMENT["components"]["schemas"]["state"]["properties"]["faults"]["items"]["enum"]
    assert set(named) == set(CURES)
    check(topics.encode(State(online=True, faults=sorted(CURES))), "state")


def test_every_reference_leads_somewhere():
    def walk(node):
        if isinstance(node, dict):
            if "$ref" in node:
                place = DOCUMENT
                for part in node["$ref"].removeprefix("#/").split("/"):
                    place = place[part]
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(DOCUMENT)

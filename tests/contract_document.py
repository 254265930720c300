"""`docs/asyncapi.yaml`, to check real messages against."""

import json
from functools import cache
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator, FormatChecker

FILE = Path(__file__).parent.parent / "docs" / "asyncapi.yaml"
DOCUMENT = yaml.safe_load(FILE.read_text(encoding="utf-8"))


@cache
def validator(schema):
    whole = {"$ref": f"#/components/schemas/{schema}", "components": DOCUMENT["components"]}
    return Draft202012Validator(whole, format_checker=FormatChecker())


def check(message, schema):
    """Raise `jsonschema.ValidationError` where `message` (bytes) breaks the contract."""
    validator(schema).validate(json.loads(message))


def check_topic(topic, message):
    """The same, by the topic that `message` came on."""
    check(message, topic.rsplit("/", 1)[-1])

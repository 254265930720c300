"""The architecture, as a test: who may import whom, and what pure code may not do."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("checkin", "kiosk", "sync_daemon", "central", "provisioning")

# The stdlib that can't touch the world. Pure modules get this, msgspec's values, and each other.
HARMLESS = {
    "base64", "bisect", "collections", "contextlib", "dataclasses", "datetime", "enum", "functools",
    "hashlib", "itertools", "math", "re", "typing", "unicodedata", "msgspec",
}  # fmt: skip

PURE = (
    "central.times",
    "checkin.blinks",
    "checkin.claim",
    "checkin.cose",
    "checkin.event",
    "checkin.marks",
    "checkin.passes",
    "kiosk.logic",
    "kiosk.ports",
    "sync_daemon.claiming",
    "provisioning.trial",
    "sync_daemon.download",
    "sync_daemon.protocol",
    "sync_daemon.reasons",
    "sync_daemon.topics",
)

# module prefix -> prefixes it may import; the longest matching prefix rules. ANY is the stdlib
# and whatever third-party package is its own (OWNERS).
ANY = {"*"}
MAY_IMPORT = {
    "checkin": ANY | {"checkin"},
    # Signatures are arithmetic: the packages for them touch nothing of the world.
    "checkin.cose": HARMLESS | {"binascii", "zlib", "io", "base45", "cbor2", "cryptography"},
    "checkin.claim": HARMLESS | {"hmac", "checkin.words"},
    "checkin.marks": HARMLESS,
    "checkin.event": HARMLESS | {"checkin.seal.Seal"},
    "checkin.blinks": HARMLESS,
    "checkin.passes": HARMLESS | {"checkin.cose"},
    "kiosk.ports": HARMLESS | {"numpy"},
    "kiosk.logic": HARMLESS
    | {
        "kiosk.logic",
        "kiosk.ports",
        "checkin.blinks",
        "checkin.event",
        "checkin.marks",
        "checkin.cose",
        "checkin.passes",
    },
    "kiosk.devices": ANY | {"checkin.marks", "kiosk.devices", "kiosk.ports"},
    "kiosk.loop": ANY
    | {
        "checkin",
        "kiosk.doctor",
        "kiosk.logic",
        "kiosk.ports",
        "kiosk.memory",
        "kiosk.told",
        "kiosk.trusted",
        "kiosk.watch",
    },
    "kiosk.reading": ANY | {"checkin", "kiosk.logic", "kiosk.trusted"},
    "kiosk.doctor": ANY | {"checkin", "kiosk.logic", "kiosk.ports", "kiosk.watch"},
    "kiosk.in_force": ANY | {"checkin", "kiosk.logic", "kiosk.told"},
    "kiosk.told": ANY | {"checkin"},
    "kiosk.trusted": ANY | {"checkin", "kiosk.logic", "kiosk.told"},
    "kiosk.watch": ANY | {"checkin", "kiosk.logic", "kiosk.ports"},
    "kiosk.memory": ANY | {"checkin"},
    "kiosk.__main__": ANY | {"checkin", "kiosk"},
    "kiosk": HARMLESS,
    "sync_daemon.topics": HARMLESS,
    "sync_daemon.protocol": HARMLESS | {"checkin.event", "checkin.words", "sync_daemon.topics"},
    "sync_daemon.arrivals": ANY | {"checkin", "sync_daemon.broker", "sync_daemon.topics"},
    "sync_daemon.broker": ANY | {"checkin.words", "sync_daemon.reasons"},
    "sync_daemon.claiming": HARMLESS | {"checkin.claim", "checkin.words"},
    "sync_daemon.identity": ANY | {"checkin"},
    "sync_daemon.enrolment": ANY | {"checkin", "sync_daemon"},
    "sync_daemon.renewal": ANY | {"checkin", "sync_daemon"},
    "sync_daemon.reasons": HARMLESS | {"checkin.words"},
    "sync_daemon.status": ANY | {"checkin", "sync_daemon.loop", "sync_daemon.enrolment_words"},
    "sync_daemon.enrolment_words": ANY | {"checkin", "sync_daemon"},
    "sync_daemon.certificate": ANY | {"checkin.identity", "checkin.words", "sync_daemon.broker"},
    "sync_daemon.machine": ANY,
    "sync_daemon.download": HARMLESS,
    "sync_daemon.updates": ANY | {"checkin", "sync_daemon.download", "sync_daemon.topics"},
    "sync_daemon.loop": ANY | {"checkin", "sync_daemon"},
    "sync_daemon.__main__": ANY | {"checkin", "sync_daemon"},
    "sync_daemon": HARMLESS,
    # The central speaks MQTT by the daemon's adapter: one module knows paho.
    "central": ANY
    | {"checkin", "central", "sync_daemon.protocol", "sync_daemon.topics", "sync_daemon.broker"},
    "central.times": HARMLESS | {"checkin.event", "sync_daemon.topics"},
    "provisioning": ANY | {"checkin", "provisioning"},
    # The fleet's own programs speak MQTT by the daemon's adapter, as the central does.
    "provisioning.fleet_broker": ANY | {"provisioning", "sync_daemon.broker", "sync_daemon.topics"},
    "provisioning.enrolment_desk": ANY
    | {"checkin", "provisioning", "sync_daemon.broker", "sync_daemon.topics"},
    "provisioning.fleet_watch": ANY
    | {"checkin", "provisioning", "sync_daemon.broker", "sync_daemon.topics"},
    # What is sent is looked at as the kiosk will, by the kiosk's own words.
    "provisioning.sending": ANY
    | {
        "checkin",
        "kiosk.in_force",
        "provisioning",
        "sync_daemon.broker",
        "sync_daemon.topics",
    },
    "provisioning.releases": ANY
    | {"checkin", "provisioning", "sync_daemon.broker", "sync_daemon.topics"},
    # The central of a rehearsal speaks the central's own protocol.
    "provisioning.loopback": ANY | {"sync_daemon.protocol", "sync_daemon.topics"},
    # Judges what it was told; knows nobody.
    "provisioning.trial": HARMLESS,
    "provisioning.fleet_table": HARMLESS | {"checkin.words", "sync_daemon.topics"},
    "provisioning.commands": ANY
    | {"checkin", "provisioning", "sync_daemon.broker", "sync_daemon.topics"},
}

# Each third-party package and the modules that may know it.
OWNERS = {
    "base45": {"checkin.cose"},
    "cbor2": {"checkin.cose"},
    "cryptography": {"checkin.cose", "checkin.identity"},
    "segno": {"provisioning.qr"},
    "click": {
        "checkin.command_line",
        "kiosk.__main__",
        "sync_daemon.__main__",
        "central.__main__",
        "provisioning.__main__",
        "provisioning.commands",
        "provisioning.desk",
    },
    "fpdf": {"provisioning.paper"},
    "PIL": {"provisioning.paper"},
    "pypdfium2": {"provisioning.paper"},
    "cv2": {"kiosk.devices.opencv", "kiosk.devices.views"},
    "gpiozero": {"kiosk.devices.gpio_panel"},
    "libcamera": {"kiosk.devices.pi_camera"},
    "nacl": {"checkin.seal"},
    "numpy": {"kiosk.devices.opencv", "kiosk.devices.views", "kiosk.ports"},
    "paho": {"sync_daemon.broker"},
    "picamera2": {"kiosk.devices.pi_camera"},
    "pyzbar": {"kiosk.devices.zbar"},
    "sqlite3": {
        "checkin.outbox",
        "checkin.outbox_forms",
        "central.store",
        "provisioning.register",
    },
    "sqlite_utils": {"checkin.outbox_forms", "central.store", "provisioning.register"},
    "zxingcpp": {"kiosk.devices.zxing"},
}

# Concrete adapters are named where the program is wired, and nowhere else.
ADAPTERS = ("kiosk.devices",)
WIRING = ("kiosk.__main__", "kiosk.devices")

IMPURE_CALLS = {"now", "utcnow", "today", "time", "monotonic", "sleep", "perf_counter", "open"}
IMPURE_CALLS |= {"random", "choice", "urandom", "token_bytes", "token_hex", "getLogger", "print"}

# What may be called while a module is imported: it builds values and touches nothing.
CALLED_AT_IMPORT = {
    "compile", "Decoder", "Encoder", "Path", "Meta", "Pattern", "Step", "Level", "frozenset", "set",
    "dict", "range", "Address", "TypeVar", "timedelta", "date", "version", "getLogger", "auto",
    "dataclass", "field", "group", "command", "option", "argument", "version_option", "pass_obj",
    "pass_context", "Migrations", "migrations", "BarcodeFormats", "from_bytes", "keys", "int",
    "_green", "_red", "_amber", "_dark", "Kiosk", "Door", "Camera", "Panel", "Outbox",
    "Policy", "Epidemic", "Window", "Trust", "_tone", "_turn", "View", "Quality", "split",
    "Effort", "Buttons", "lru_cache", "key_option", "DateTime", "Choice", "IntRange", "FloatRange",
    "File", "maketrans", "ord",
    "Name", "Box", "datetime", "replace", "Reason", "Broker", "database", "key_file", "main",
    "Connected", "settings_option", "add_command", "fleet_option", "ContextVar", "N_", "text",
    "Judgement",
    "get_args", "Pace", "Column", "one_of", "Meaning", "language_option", "pdf_option", "join",
}  # fmt: skip


def modules(root=ROOT):
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            dotted = ".".join(path.relative_to(root).with_suffix("").parts)
            yield dotted.removesuffix(".__init__"), ast.parse(path.read_text(encoding="utf-8"))


def under(name, prefix):
    return name == prefix or name.startswith(prefix + ".")


def imports(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (
                "." * node.level + f"{node.module or ''}.{alias.name}" for alias in node.names
            )


def called(node):
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


def wrong_imports(name, tree):
    rule = max((prefix for prefix in MAY_IMPORT if under(name, prefix)), key=len)
    allowed = MAY_IMPORT[rule]
    for target in imports(tree):
        top = target.split(".")[0]
        if target.startswith("."):
            yield f"{name}: relative import {target}"
        elif top in OWNERS and not any(under(name, owner) for owner in OWNERS[top]):
            yield f"{name}: imports {top}, which belongs to {', '.join(sorted(OWNERS[top]))}"
        elif any(under(target, prefix) for prefix in allowed):
            continue
        elif top in PACKAGES or "*" not in allowed:
            yield f"{name}: imports {target}"


def impure_calls(name, tree):
    if not any(under(name, prefix) for prefix in PURE):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and called(node) in IMPURE_CALLS:
            yield f"{name}:{node.lineno}: calls {called(node)}()"


def calls_at_import(name, tree):
    """Calls outside functions; decorators and annotations count, `if __name__` doesn't."""
    for statement in tree.body:
        if isinstance(statement, ast.If):
            continue
        for node in _outside_functions(statement):
            if isinstance(node, ast.Call) and called(node) not in CALLED_AT_IMPORT:
                yield f"{name}:{node.lineno}: calls {called(node)}() while being imported"


def _outside_functions(node):
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        for decorator in getattr(node, "decorator_list", []):
            yield from _outside_functions(decorator)
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _outside_functions(child)


def asks_whether_it_is_tested(name, tree):
    for node in ast.walk(tree):
        text = node.value if isinstance(node, ast.Constant) else getattr(node, "id", "")
        if text in {"PYTEST_CURRENT_TEST", "pytest", "unittest"}:
            yield f"{name}:{node.lineno}: asks whether it is under test"


def names_an_adapter(name, tree):
    if any(under(name, place) for place in WIRING):
        return
    for target in imports(tree):
        if any(under(target, adapter) for adapter in ADAPTERS):
            yield f"{name}: names the concrete adapter {target}"


RULES = (wrong_imports, impure_calls, calls_at_import, asks_whether_it_is_tested, names_an_adapter)


def violations(found):
    return [line for name, tree in found for rule in RULES for line in rule(name, tree)]


def test_every_rule_holds():
    assert violations(modules()) == []


@pytest.mark.parametrize(
    ("name", "source", "said"),
    [
        ("kiosk.logic.station", "import time", "kiosk.logic.station: imports time"),
        ("kiosk.logic.station", "import numpy", "numpy, which belongs to"),
        ("kiosk.logic.station", "from datetime import datetime\ndatetime.now()", "calls now()"),
        ("kiosk.logic.policy", "def f():\n    return random()", "calls random()"),
        ("kiosk.logic.feedback", "import logging", "imports logging"),
        ("kiosk.loop", "from sync_daemon import topics", "imports sync_daemon.topics"),
        ("kiosk.loop", "from kiosk.devices.zxing import Zxing", "names the concrete adapter"),
        ("sync_daemon.loop", "import kiosk.ports", "imports kiosk.ports"),
        ("sync_daemon.protocol", "import socket", "imports socket"),
        ("kiosk.devices.opencv", "from kiosk.logic import station", "imports kiosk.logic.station"),
        ("kiosk.devices.opencv", "import checkin.outbox", "imports checkin.outbox"),
        ("central.loop", "import paho.mqtt.client", "belongs to sync_daemon.broker"),
        ("central.loop", "from sync_daemon.loop import SyncLoop", "imports sync_daemon.loop"),
        ("checkin.clock", "from kiosk import ports", "imports kiosk.ports"),
        ("kiosk.loop", "from . import ports", "relative import"),
        ("kiosk.loop", "X = connect()", "calls connect() while being imported"),
        ("kiosk.loop", "import os\nif os.environ['PYTEST_CURRENT_TEST']: pass", "under test"),
    ],
)
def test_a_planted_violation_is_caught(name, source, said):
    found = violations([(name, ast.parse(source))])
    assert any(said in line for line in found), found


def test_the_rules_look_at_every_module():
    names = [name for name, _ in modules()]
    assert len(names) > 35
    assert {"kiosk.loop", "sync_daemon.protocol", "central.store"} <= set(names)

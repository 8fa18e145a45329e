"""A note of the request log as one line for people: who, from where, by which path, what, and what was decided why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_PATHS = {
    "internet": "by the internet",
    "nat": "by a NAT gateway",
    "gateway_endpoint": "by gateway endpoint",
    "interface_endpoint": "by interface endpoint",
}


def line(note: Mapping[str, Any]) -> str:
    """One line, whatever clients named their objects."""
    caller = str(note.get("caller") or "nobody known").removeprefix("anonymous") or "anonymous"
    words = [_time(note), caller, f"from {note.get('source') or 'somewhere'}", *_path(note), *_what(note), *_how(note)]
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in " ".join(words))


def _time(note: Mapping[str, Any]) -> str:
    return str(note.get("at", "")).partition("T")[2].partition("+")[0]


def _path(note: Mapping[str, Any]) -> list[str]:
    kind = note.get("path")
    if kind is None:
        return []
    endpoint = note.get("endpoint")
    return [_PATHS.get(str(kind), f"by {kind}"), *([str(endpoint)] if endpoint else [])]


def _what(note: Mapping[str, Any]) -> list[str]:
    operation = note.get("operation") or note.get("method")
    action = note.get("action")
    place = "/".join(str(note[name]) for name in ("bucket", "key") if note.get(name) is not None)
    named = [f"{note.get('service', '?')}:{operation}"]
    if action and action != named[0]:
        named.append(f"({action})")
    return [*named, *([place] if place else [])]


def _how(note: Mapping[str, Any]) -> list[str]:
    status = note.get("status")
    words = ["->", "no answer" if status is None else str(status)]
    if note.get("code"):
        words.append(str(note["code"]))
    if note.get("decision"):
        layer = note.get("layer")
        words.append(f"{note['decision']}" + (f" by {layer}" if layer else ""))
    return [f"{' '.join(words)}: {note['reason']}"] if note.get("reason") else words

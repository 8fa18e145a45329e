from __future__ import annotations

import ast
import base64
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pytest_s3vpce.vantage import agent, errand

AGENT = Path(agent.__file__).read_text(encoding="utf-8")
SOURCE = Path(errand.__file__).read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def ping(**given: Any) -> dict[str, Any]:
    return {"source": AGENT, "agent": agent.AGENT, "config": {}, "batch": {"ping": True}, **given}


def known() -> tuple[bytes, bytes]:
    (one, its), (other, others) = errand.pair(), errand.pair()
    return errand.shared(one, others), errand.shared(other, its)


def test_both_sides_come_to_know_the_same() -> None:
    first, second = known()
    assert first == second
    assert first != known()[0]


@pytest.mark.parametrize("public", [-1, 0, 1, errand.PRIME - 1, errand.PRIME, errand.PRIME + 2])
def test_a_number_that_gives_the_secret_away_is_refused(public: int) -> None:
    with pytest.raises(ValueError, match="that is no public number"):
        errand.shared(7, public)


def test_the_group_is_that_of_the_rfc() -> None:
    """A safe prime of 2048 bits that begins and ends in 64 ones."""
    assert errand.PRIME.bit_length() == 2048
    assert errand.PRIME >> 1984 == errand.PRIME & (2**64 - 1) == 2**64 - 1
    assert pow(2, errand.PRIME - 1, errand.PRIME) == 1
    assert pow(2, (errand.PRIME - 1) // 2, errand.PRIME) == 1
    half = (errand.PRIME - 1) // 2
    assert all(pow(base, half - 1, half) == 1 for base in (3, 5, 7))


@pytest.mark.parametrize("data", [b"", b"\0\0", b"a" * 70_000])
def test_what_is_sealed_is_unsealed_and_nobody_reads_or_changes_it(data: bytes) -> None:
    key, _ = known()
    for way in (errand.THERE, errand.BACK):
        text = errand.sealed(data, key, way)
        assert len(text) == len(data) + 32
        assert len(data) < 3 or data[:8] not in text
        assert errand.unsealed(text, key, way) == data
        for changed in (text[:-1] + bytes([text[-1] ^ 1]), bytes([text[0] ^ 1]) + text[1:], text[:-1], b""):
            with pytest.raises(ValueError, match="what was sealed has been changed"):
                errand.unsealed(changed, key, way)
    with pytest.raises(ValueError, match="has been changed"):
        errand.unsealed(errand.sealed(data, key, errand.THERE), key, errand.BACK)
    assert errand.sealed(b"same", key, errand.THERE) != errand.sealed(b"same", key, errand.BACK)


@pytest.mark.parametrize("in_parts", [False, True])
def test_the_secret_number_waits_for_its_batch_where_only_we_read_it(folder: Path, in_parts: bool) -> None:
    agreed = errand.answer({"agree": True})
    secret = Path(agreed["folder"]) / "secret"
    assert secret.parent.parent == folder
    assert secret.parent.stat().st_mode & 0o777 == 0o700
    assert pow(2, int(secret.read_text(encoding="utf-8")), errand.PRIME) == agreed["public"]
    own, public = errand.pair()
    key = errand.shared(own, agreed["public"])
    text = base64.b64encode(errand.sealed(errand.encoded({"ping": True}), key, errand.THERE)).decode()
    if in_parts:
        for number, part in enumerate((text[:9], text[9:])):
            (secret.parent / f"part-000{number}").write_text(part, encoding="utf-8")
    carried = ping(sealed="" if in_parts else text, parts=2 * in_parts, public=public, folder=agreed["folder"])
    reply = errand.answer(carried)
    opened = errand.decoded(errand.unsealed(base64.b64decode(reply["sealed"]), key, errand.BACK))
    assert opened["agent"] == agent.AGENT
    assert not secret.parent.exists()
    assert errand.answer(carried) == {"error": "the key that was agreed on is gone"}


def test_what_was_left_long_ago_is_removed_and_nothing_else(folder: Path) -> None:
    old, new, other, file = (folder / name for name in ("s3vpce-old", "s3vpce-new", "theirs", "s3vpce-file"))
    for path in (old, new, other):
        path.mkdir()
    file.touch()
    for path in (old, other, file):
        os.utime(path, (0, time.time() - 4000))
    errand.agree()
    assert [path.exists() for path in (old, new, other, file)] == [False, True, True, True]


def test_an_answer_is_printed_with_its_mark(capsys: pytest.CaptureFixture[str]) -> None:
    errand.main(ping(room=0), "mark")
    blank, head, text, _ = capsys.readouterr().out.split("\n")
    assert (blank, head) == ("", f"mark:{len(text)}:")
    assert errand.decoded(base64.b64decode(text))["agent"] == agent.AGENT


def test_a_long_answer_waits_in_a_file(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    errand.main(ping(room=10), "mark")
    head, text = capsys.readouterr().out.split()
    path = Path(head.rpartition(":")[2])
    assert path.parent.parent == folder
    assert len(text) == 10
    assert path.read_text(encoding="utf-8").startswith(text)


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("raise LookupError('secret')", "unexpected: LookupError"),
        ("def _envelope():\n    raise ValueError('a word of the agent')", "a word of the agent"),
        ("def (", "unexpected: SyntaxError"),
    ],
)
def test_of_an_exception_its_type_alone_is_told(source: str, wanted: str) -> None:
    assert errand.answer(ping(source=source)) == {"error": wanted}


def test_it_is_of_the_standard_library_and_for_python_3_8() -> None:
    tree = ast.parse(SOURCE, feature_version=(3, 8))
    found = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    found |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert found <= {*sys.stdlib_module_names, "__future__"}

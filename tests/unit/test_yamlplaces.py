"""YAML with places: everything is text, everything has a line and a column, every fault says what would be right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from pytest_s3vpce import yamlplaces
from pytest_s3vpce.errors import ExpectationError, FileError, InventoryError
from pytest_s3vpce.model import Place
from pytest_s3vpce.yamlplaces import Document, read

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(params=["libyaml", "python"])
def loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "python":
        monkeypatch.setattr(yamlplaces, "_LOADER", yaml.BaseLoader)


def document(folder: Path, text: str | bytes) -> Document:
    path = folder / "f.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read(path, error=FileError)


@pytest.mark.parametrize(
    "scalar", ["111122223333", "012345678901", "no", "null", "~", "1.0", "2026-01-01", "0x10", "true"]
)
def test_plain_scalars_are_text(tmp_path: Path, loader: None, scalar: str) -> None:
    assert document(tmp_path, f"a: {scalar}\n").data == {"a": scalar}


def test_values_and_keys_know_their_places(tmp_path: Path, loader: None) -> None:
    found = document(tmp_path, 'top:\n  one: {name: "x", list: [a,\n    b]}\n  two:\n    - {deep: z}\n')
    path = str(tmp_path / "f.yaml")
    assert found.data == {"top": {"one": {"name": "x", "list": ["a", "b"]}, "two": [{"deep": "z"}]}}
    assert found.place("top", "one", "name") == Place(path, 2, 15)
    assert found.place("top", "one", "list", 1) == Place(path, 3, 5)
    assert found.place("top", "two", 0, "deep") == Place(path, 5, 14)
    assert found.place("top", "one") == Place(path, 2, 3)
    assert found.place("top", "two", 0) == Place(path, 5, 7)
    assert found.key_place("top", "one", "name") == Place(path, 2, 9)
    assert [node.value for node in found.root.texts()] == ["x", "a", "b", "z"]


def test_the_place_of_what_is_not_written_is_the_nearest_one_above(tmp_path: Path) -> None:
    found = document(tmp_path, "top:\n  one: {name: x}\n  list: [a]\n")
    path = str(tmp_path / "f.yaml")
    assert found.place() == Place(path)
    assert found.place("missing") == Place(path)
    assert found.place("top", "one", "region") == Place(path, 2, 3)
    assert found.place("top", "one", "name", "deeper") == Place(path, 2, 15)
    assert found.place("top", "list", 4) == Place(path, 3, 3)
    assert found.place("top", "list", "x") == Place(path, 3, 3)
    assert found.key_place("top", "two", "name") == Place(path, 1, 1)
    assert found.key_place("top", "one", "region") == Place(path, 2, 3)


def test_aliases_and_merges(tmp_path: Path, loader: None) -> None:
    text = "a: &a {x: '1', y: '2'}\nb: *a\nc: {<<: *a, y: mine}\nd:\n  <<: [*a, {z: '3'}]\n"
    found = document(tmp_path, text)
    assert found.data["b"] == {"x": "1", "y": "2"}
    assert found.data["c"] == {"x": "1", "y": "mine"}
    assert found.data["d"] == {"x": "1", "y": "2", "z": "3"}
    assert found.place("c", "x") == Place(str(tmp_path / "f.yaml"), 1, 11)


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    assert document(tmp_path, b"\xef\xbb\xbfa: b\n").data == {"a": "b"}


FAULTS: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "f.yaml: the file is empty; write its sections"),
    "only a comment": ("# later\n", "f.yaml: the file is empty; write its sections"),
    "a list at the top": ("- a\n", "f.yaml:1:1: the file is no mapping; begin with a section: `name:`"),
    "text at the top": ("hello\n", "f.yaml:1:1: the file is no mapping; begin with a section: `name:`"),
    "unquoted reference in a mapping": (
        "a:\n  b: {role: ${out:Role}, c: d}\n",
        'f.yaml:2:13: `${out:Role}` is not quoted; quote it: "${out:Role}"',
    ),
    "unquoted reference in a list": ("a: [${env:X}]\n", 'f.yaml:1:5: `${env:X}` is not quoted; quote it: "${env:X}"'),
    "unquoted reference without an end": ("a: [${out\n", 'f.yaml:1:5: `${out` is not quoted; quote it: "${out"'),
    "tab": ("a:\n\tb: 1\n", "f.yaml:2:1: a tab stands where YAML wants spaces; indent with spaces"),
    "tab after spaces": (
        "a:\n  b:\n  \tc: 1\n",
        "f.yaml:3:3: a tab stands where YAML wants spaces; indent with spaces",
    ),
    "at sign": ("a: @x\n", 'f.yaml:1:4: a plain value can\'t begin with `@`; quote it: "@..."'),
    "backtick": ("a: `x\n", 'f.yaml:1:4: a plain value can\'t begin with a backtick; quote it: "..."'),
    "per cent": ("a: %x\n", 'f.yaml:1:4: a plain value can\'t begin with `%`; quote it: "%..."'),
    "duplicate key": ("a: 1\nb: 2\na: 3\n", "f.yaml:3:1: `a` is given twice, first on line 1; keep one"),
    "deep duplicate key": ("x:\n  a: 1\n  a: 3\n", "f.yaml:3:3: `a` is given twice, first on line 2; keep one"),
    "list as key": ("? [a]\n: b\n", "f.yaml:1:3: a list or mapping can't be a key; use text"),
    "tag": ("a: !Ref X\n", "f.yaml:1:4: tag `!Ref` has no meaning here; leave it out: every value is text"),
    "standard tag": ("a: !!int 3\n", "f.yaml:1:4: tag `!!int` has no meaning here; leave it out: every value is text"),
    "python tag": (
        "a: !!python/name:os.system {}\n",
        "f.yaml:1:4: tag `!!python/name:os.system` has no meaning here; leave it out: every value is text",
    ),
    "alias in itself": ("a: &x [*x]\n", "f.yaml:1:4: an alias stands inside of what it names; write the value out"),
    "merge of text": ("a: {<<: text}\n", "f.yaml:1:5: `<<` merges mappings only; give the alias of a mapping"),
    "two documents": (
        "a: 1\n---\nb: 2\n",
        (
            "f.yaml:2:1: not valid YAML: expected a single document in the stream: but found another document, "
            "begun on line 1"
        ),
    ),
    "colon in a plain value": (
        "a: b: c\n",
        "f.yaml:1:5: not valid YAML: mapping values are not allowed in this context",
    ),
    "quote without an end": (
        "a: 'x\n",
        "f.yaml:2:1: not valid YAML: while scanning a quoted scalar: found unexpected end of stream, begun on line 1",
    ),
    "control character": ("a: b\nc: \x00\n", "f.yaml:2:4: a control character stands here; remove it"),
    "not UTF-8": (b"a: b\nc: \xff\n", "f.yaml:2: the file is not UTF-8; save it as UTF-8"),
    "too deep": (f"a: {'[' * 60}{']' * 60}\n", "f.yaml:1:54: lists or mappings are nested too deeply"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_say_where_what_and_the_remedy(tmp_path: Path, loader: None, name: str) -> None:
    text, message = FAULTS[name]
    with pytest.raises(FileError) as caught:
        document(tmp_path, text)
    shown = str(caught.value).replace(f"{tmp_path}/", "")
    if name == "colon in a plain value":  # Python's loader says `here`, libyaml's `in this context`
        shown = shown.replace("allowed here", "allowed in this context")
    assert shown == message


def test_nesting_without_end_is_refused(tmp_path: Path, loader: None) -> None:
    with pytest.raises(FileError, match="nest"):
        document(tmp_path, f"a: {'[' * 20_000}\n")


def test_aliases_of_aliases_do_not_grow_without_bound(tmp_path: Path) -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 8)]
    with pytest.raises(FileError) as caught:
        document(tmp_path, "\n".join(rows))
    assert str(caught.value).endswith("the file has more than 100000 values; use fewer aliases")


@pytest.mark.parametrize("error", [InventoryError, ExpectationError])
def test_a_file_that_is_not_there_raises_the_callers_error(tmp_path: Path, error: type[FileError]) -> None:
    path = tmp_path / "none.yaml"
    with pytest.raises(error) as caught:
        read(path, error=error)
    assert str(caught.value) == f"{path}: the file can't be read: No such file or directory"
    with pytest.raises(error, match="Is a directory"):
        read(tmp_path, error=error)

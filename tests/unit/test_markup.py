"""XML that is written can be read again, whatever it holds, and names count without their namespaces."""

from __future__ import annotations

from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

import pytest

from pytest_s3vpce import markup

ODD = ["plain", "a<b>&c", "&amp;lt;", "\"'", "]]>", "ü\U0001f5dd", ""]


@pytest.mark.parametrize("text", ODD)
def test_texts_are_written_as_the_standard_library_writes_them_and_read_back(text: str) -> None:
    assert markup.in_xml(text) == escape(text)
    assert markup.from_xml(markup.in_xml(text)) == text
    assert markup.from_xml(escape(text, {'"': "&quot;", "'": "&apos;"})) == text


@pytest.mark.parametrize("text", ODD)
def test_a_document_is_what_it_was_made_of(text: str) -> None:
    root = ET.fromstring(markup.document("Root", markup.elements(One=text, Two="2")))
    assert root.tag == f"{{{markup.S3}}}Root"
    assert markup.texts(root) == {"One": text, "Two": "2"}


@pytest.mark.parametrize("space", ["", ' xmlns="urn:some"', ' xmlns="urn:other"'])
def test_elements_are_found_by_name_in_any_namespace(space: str) -> None:
    root = ET.fromstring(f"<R{space}><A>1</A><B><A>2</A></B><A>3</A></R>")
    assert markup.name_of(root) == "R"
    assert [found.text for found in markup.named(root, "A")] == ["1", "3"]
    assert [found.text for found in markup.below(root, "A")] == ["1", "2", "3"]
    assert markup.children(root)["A"].text == "3"
    assert markup.texts(root) == {"A": "3", "B": ""}

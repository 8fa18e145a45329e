"""XML as AWS's services write and read it: names, namespaces, and texts that may hold anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree.ElementTree import Element

S3: Final = "http://s3.amazonaws.com/doc/2006-03-01/"
"""The namespace of S3's documents: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListBuckets.html"""
DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'


def in_xml(text: str) -> str:
    """The text as it stands in XML, as `xml.sax.saxutils.escape` writes it, which loads half of `urllib` first."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def from_xml(text: str) -> str:
    """The text that stands so in XML."""
    for sign, written in (("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("'", "&apos;"), ("&", "&amp;")):
        text = text.replace(written, sign)
    return text


def elements(**texts: str) -> str:
    """An element for each name, with its text."""
    return "".join(f"<{name}>{in_xml(text)}</{name}>" for name, text in texts.items())


def document(root: str, content: str, *, namespace: str = S3) -> bytes:
    """A whole document; the content is markup."""
    return f'{DECLARATION}<{root} xmlns="{namespace}">{content}</{root}>'.encode()


def name_of(element: Element) -> str:
    """An element's name without its namespace."""
    return element.tag.rpartition("}")[2]


def named(parent: Element, name: str) -> Iterator[Element]:
    """The element's own children of that name, in whatever namespace."""
    return (child for child in parent if name_of(child) == name)


def below(parent: Element, name: str) -> Iterator[Element]:
    """The element itself and all that is in it, at any depth, of that name."""
    return (found for found in parent.iter() if name_of(found) == name)


def children(parent: Element) -> dict[str, Element]:
    """The element's own children by their names; of those with one name the last."""
    return {name_of(child): child for child in parent}


def texts(parent: Element) -> dict[str, str]:
    """What the element's own children say, as it stands there."""
    return {name_of(child): child.text or "" for child in parent}

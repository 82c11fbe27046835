"""The XML that S3 answers with, read by expat into a small tree: for every shape that has no faster way of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.parsers import expat

_OTHER_CODE = re.compile(r"""\s*<\?xml[^>]*\sencoding\s*=\s*["'](?!utf-8["'])""", re.IGNORECASE).match


class MalformedXml(ValueError):
    """The document is not well-formed, is cut off, or has a DOCTYPE, which S3 never sends."""


class Element:
    """One element: its tag without the namespace's prefix, its text, and what is in it."""

    __slots__ = ("children", "tag", "text")

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self.text = ""
        self.children: list[Element] = []

    def get(self, tag: str) -> str:
        """Return the text of the first child with this tag, empty where there is none."""
        for child in self.children:
            if child.tag == tag:
                return child.text
        return ""

    def all(self, tag: str) -> Iterator[Element]:
        """Yield the children with this tag."""
        return (child for child in self.children if child.tag == tag)


class _Builder:
    def __init__(self) -> None:
        self.root = Element("")
        self._open = [self.root]

    def parser(self) -> expat.XMLParserType:
        """Return a parser that builds the tree. Nothing here refers to it: a cycle would keep its buffers for long."""
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartDoctypeDeclHandler = self._doctype
        return parser

    def _start(self, name: str, _attributes: dict[str, str]) -> None:
        element = Element(name.rpartition(":")[2])
        self._open[-1].children.append(element)
        self._open.append(element)

    def _end(self, _name: str) -> None:
        self._open.pop()

    def _text(self, text: str) -> None:
        self._open[-1].text += text

    def _doctype(self, *_: object) -> None:
        message = "the document has a DOCTYPE"
        raise MalformedXml(message)


def is_in_utf8(text: str) -> bool:
    """Tell whether a document, read as UTF-8, may be: it declares no other code."""
    return _OTHER_CODE(text) is None


def parse_document(document: bytes) -> Element:
    """Return the root element. White space before the XML declaration is allowed: S3 keeps slow answers alive with it.

    Raises MalformedXml.
    """
    builder = _Builder()
    try:
        builder.parser().Parse(document.lstrip(), True)
    except (expat.ExpatError, LookupError, ValueError) as exc:  # LookupError, ValueError: an encoding that nobody knows
        raise exc if isinstance(exc, MalformedXml) else MalformedXml(str(exc)) from exc
    return builder.root.children[0]

"""Two hundred keys that break programs, and small trees on disk."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import NamedTuple


class Sample(NamedTuple):
    """A key, and why it is awkward: ``name`` is a unique ASCII word for test ids."""

    name: str
    key: str


_MAX_KEY_BYTES = 1024


def _one_character_each() -> Iterator[Sample]:
    named = {
        " ": "space", "+": "plus", "%": "percent", "#": "hash", "?": "question", "&": "ampersand", "=": "equals",
        ";": "semicolon", ",": "comma", ":": "colon", "@": "at", "$": "dollar", "!": "bang", "*": "star",
        "'": "apostrophe", "(": "paren-open", ")": "paren-close", "~": "tilde", '"': "quote", "\\": "backslash",
        "<": "less", ">": "greater", "|": "pipe", "^": "caret", "`": "backtick", "[": "bracket-open",
        "]": "bracket-close", "{": "brace-open", "}": "brace-close", "-": "dash", "_": "underscore", ".": "dot",
    }  # fmt: skip
    for character, name in named.items():
        yield Sample(f"{name}-inside", f"in{character}side")
        yield Sample(f"{name}-leads", f"{character}leads")
        yield Sample(f"{name}-ends", f"ends{character}")


def _slashes_and_dots() -> Iterator[Sample]:
    for name, key in {
        "leading-slash": "/leading",
        "leading-double-slash": "//leading",
        "leading-triple-slash": "///leading",
        "double-slash": "a//b",
        "triple-slash": "a///b",
        "trailing-slash": "folder/",
        "trailing-double-slash": "folder//",
        "only-slash": "/",
        "only-two-slashes": "//",
        "dot-component": "a/./b",
        "dotdot-component": "a/../b",
        "dotdot-leads": "../escape",
        "dotdot-leads-deep": "../../../etc/passwd",
        "dotdot-ends": "a/..",
        "dot-component-ends": "a/.",
        "dotdot-slash": "a/../",
        "only-dot": ".",
        "only-dotdot": "..",
        "three-dots": "...",
        "hidden": ".hidden/.file",
        "absolute": "/etc/passwd",
        "slash-dot-slash": "/./",
        "slash-dotdot-slash": "/../",
        "dots-in-name": "a..b/c...d",
        "windows-drive": "C:\\folder\\file.txt",
        "unc-path": "\\\\host\\share\\file",
        "device-name": "NUL/con.txt",
        "very-deep": "d/" * 300 + "leaf",
        "deep-empty": "a" + "/" * 200 + "b",
    }.items():
        yield Sample(name, key)


def _unicode() -> Iterator[Sample]:
    for name, key in {
        "latin-nfc": "caf\u00e9",
        "latin-nfd": "cafe\u0301",
        "hangul-nfc": "\ud55c\uae00",
        "hangul-nfd": "\u1112\u1161\u11ab\u1100\u1173\u11af",
        "angstrom-sign": "\u212b",
        "a-ring": "\u00c5",
        "ligature": "\ufb01le",
        "sharp-s": "Stra\u00dfe",
        "dotted-capital-i": "\u0130stanbul",
        "dotless-i": "\u0131",
        "greek": "\u03b1\u03b2\u03b3/\u03a3\u03c2",
        "cyrillic": "\u043f\u0440\u0438\u0432\u0435\u0442",
        "arabic": "\u0645\u0631\u062d\u0628\u0627",
        "hebrew": "\u05e9\u05dc\u05d5\u05dd",
        "thai": "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35",
        "devanagari": "\u0928\u092e\u0938\u094d\u0924\u0947",
        "japanese": "\u65e5\u672c\u8a9e/\u30d5\u30a1\u30a4\u30eb",
        "chinese": "\u4e2d\u6587/\u6587\u4ef6",
        "fullwidth-slash": "a\uff0fb",
        "ideographic-space": "a\u3000b",
        "no-break-space": "a\u00a0b",
        "zero-width-space": "a\u200bb",
        "zero-width-joiner": "a\u200db",
        "right-to-left-override": "gpj.\u202eexe",
        "left-to-right-mark": "a\u200eb",
        "line-separator": "a\u2028b",
        "paragraph-separator": "a\u2029b",
        "next-line": "a\u0085b",
        "soft-hyphen": "a\u00adb",
        "byte-order-mark": "\ufeffname",
        "replacement-character": "a\ufffdb",
        "private-use": "a\ue000b",
        "last-of-plane-0": "z\ud7ff\ue000\ufffd",
        "emoji": "\U0001f600.txt",
        "emoji-family": "\U0001f468\u200d\U0001f469\u200d\U0001f467",
        "emoji-flag": "\U0001f1e9\U0001f1ea",
        "emoji-skin": "\U0001f44d\U0001f3fd",
        "astral-letters": "\U0001d4d0\U0001d4d1",
        "astral-cjk": "\U00020000\U0002a6d6",
        "last-code-point": "a\U0010fffdb",
        "stacked-accents": "e\u0301\u0302\u0303\u0304",
        "accent-order-a": "a\u0323\u0307",
        "accent-order-b": "a\u0307\u0323",
    }.items():
        yield Sample(name, key)


def _encodings() -> Iterator[Sample]:
    for name, key in {
        "looks-encoded-space": "a%20b",
        "looks-encoded-slash": "a%2Fb",
        "looks-encoded-slash-lower": "a%2fb",
        "looks-encoded-percent": "a%2520b",
        "looks-encoded-plus": "a%2Bb",
        "looks-encoded-utf8": "caf%C3%A9",
        "bad-percent": "100%",
        "bad-percent-hex": "%zz",
        "percent-nul": "%00",
        "plus-for-space": "a+b c",
        "like-a-query": "key?versionId=null",
        "like-acl": "object?acl",
        "like-a-fragment": "page.html#top",
        "like-a-url": "https://example.com/a?b=c&d=e",
        "like-an-s3-url": "s3://bucket/key",
        "like-a-flag": "--recursive",
        "like-a-glob": "[a-z]*.{jpg,png}",
        "like-a-shell": "$(reboot);`id`&&echo|cat",
        "like-html": "<script>alert('x')</script>",
        "like-an-entity": "&amp;&lt;&#13;&#x0D;",
        "like-cdata": "]]><![CDATA[",
        "like-an-answer": "</Key></Contents>",
        "like-json": '{"key": "value"}',
        "like-csv": 'a,"b",c',
        "like-a-header": "x: y",
    }.items():
        yield Sample(name, key)


def _control_characters() -> Iterator[Sample]:
    for name, key in {
        "tab": "a\tb",
        "newline": "a\nb",
        "carriage-return": "a\rb",
        "crlf": "a\r\nb",
        "newline-ends": "ends\n",
        "carriage-return-ends": "ends\r",
        "tab-leads": "\tleads",
        "control-1": "a\x01b",
        "bell": "a\x07b",
        "backspace": "a\x08b",
        "vertical-tab": "a\x0bb",
        "escape": "a\x1b[31mb",
        "control-1f": "a\x1fb",
        "delete": "a\x7fb",
        "c1-control": "a\x80b",
        "csi": "a\x9bb",
    }.items():
        yield Sample(name, key)


def _long() -> Iterator[Sample]:
    for name, character in {
        "ascii": "x",
        "two-byte": "\u00e9",
        "three-byte": "\u65e5",
        "four-byte": "\U0001f600",
    }.items():
        size = len(character.encode())
        key = character * (_MAX_KEY_BYTES // size)
        yield Sample(f"1024-bytes-{name}", key + "x" * (_MAX_KEY_BYTES - len(key.encode())))
    yield Sample("1024-bytes-folders", ("f" * 254 + "/") * 4 + "last")
    yield Sample("1024-bytes-escaped", "%" * _MAX_KEY_BYTES)
    yield Sample("255-byte-name", "n" * 255)
    yield Sample("256-byte-name", "n" * 256)
    yield Sample("one-byte", "1")
    yield Sample("spaces-only", "   ")
    yield Sample("case-upper", "README")
    yield Sample("case-lower", "readme")


def _all() -> list[Sample]:
    found = [
        *_one_character_each(),
        *_slashes_and_dots(),
        *_unicode(),
        *_encodings(),
        *_control_characters(),
        *_long(),
    ]
    return list({sample.key: sample for sample in found}.values())


AWKWARD_KEYS: list[Sample] = _all()
"""At least 200 valid S3 keys, all different, in no particular order."""


def make_tree(root: str | os.PathLike[str], files: Mapping[str, bytes]) -> str:
    """Write ``files`` (path below the root with ``/`` -> content), making folders on the way; return the root as str."""
    for name, content in files.items():
        path = os.path.join(os.fspath(root), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
    return os.fspath(root)


def read_tree(root: str | os.PathLike[str]) -> dict[str, bytes]:
    """Return every regular file below ``root`` (path with ``/`` -> content): what ``make_tree`` was given."""
    found = {}
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, root)] = file.read()
    return found


def patterned_bytes(size: int, seed: int = 0) -> bytes:
    """Return ``size`` bytes in which no two aligned kilobytes are equal, so that a misplaced part shows."""
    blocks = (
        ((index * 0x9E3779B97F4A7C15 + seed) & 0xFFFFFFFFFFFFFFFF).to_bytes(8, "big") * 128
        for index in range(-(-size // 1024))
    )
    return b"".join(blocks)[:size]

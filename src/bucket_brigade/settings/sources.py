"""Where configuration is written, TOML files, environment variables and flags, brought into one form."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping

import msgspec

from bucket_brigade.errors import ConfigError

PREFIX = "BRIGADE_"
SHORT_VARIABLES: Mapping[str, str] = {
    "BRIGADE_STATE_DIR": "state_dir",
    "BRIGADE_CONCURRENCY": "engine.concurrency",
    "BRIGADE_PROCESSES": "engine.processes",
    "BRIGADE_MEMORY": "engine.memory_bytes",
    "BRIGADE_LOG_LEVEL": "log.level",
    "BRIGADE_LOG_FORMAT": "log.format",
    "BRIGADE_SSE_C_KEY": "endpoints.s3.sse_c_key",
}
"""Variables that need no double underscore, and the keys they set."""

_SHORT_FLAGS: Mapping[str, str] = {"log.level": "--log-level", "log.format": "--log-format"}
# Kubernetes puts BRIGADE_SERVICE_HOST, BRIGADE_PORT_80_TCP_ADDR and the like into every container beside a service
# named "brigade": they are no configuration.
_KUBERNETES = re.compile(r"BRIGADE_(SERVICE_HOST|(SERVICE_)?PORT(_.*)?)")
_TABLE_LINE = re.compile(r"\s*\[+\s*([^\]]+?)\s*\]+")
_KEY_LINE = re.compile(r"""\s*([\w."'+-]+(?:\s*\.\s*[\w."'+-]+)*)\s*=""")


class Given(msgspec.Struct, frozen=True):
    """One value as somebody wrote it.

    Attributes:
        key: dotted.
        written: as TOML, the environment or a flag gave it.
        origin: where, for people: ``file /etc/brigade.toml:12``, ``environment BRIGADE_MEMORY``, ``flag --memory``.
        folder: what a relative path in it is relative to.
    """

    key: str
    written: object
    origin: str
    folder: str = ""


def read_toml(path: str) -> tuple[dict[str, object], str]:
    """Return the tables of a TOML file, and its text.

    Raises:
        ConfigError: it cannot be read, or is not TOML.
    """
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        return tomllib.loads(text), text
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigError(f"cannot read {path}: {reason}", remedy="Name a file that exists and is readable.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}", remedy="Mend the line that is named.") from error


def from_file(path: str, *, is_leaf: Callable[[str], bool]) -> Iterator[Given]:
    """Yield every value of a TOML file; ``is_leaf`` says which dotted keys are values although they are tables.

    Raises:
        ConfigError: it cannot be read, or is not TOML.
    """
    tables, text = read_toml(path)
    lines = locate_keys(text)
    folder = os.path.dirname(os.path.abspath(path))
    for key, written in flatten(tables, is_leaf=is_leaf):
        line = lines.get(key)
        yield Given(key, written, f"file {path}:{line}" if line else f"file {path}", folder)


def flatten(
    table: Mapping[str, object], *, is_leaf: Callable[[str], bool], below: str = ""
) -> Iterator[tuple[str, object]]:
    """Yield (dotted key, value) of nested tables; an empty table is a value, ``{}``."""
    for name, value in table.items():
        key = below + name
        if isinstance(value, Mapping) and value and not is_leaf(key):
            yield from flatten(value, is_leaf=is_leaf, below=key + ".")
        else:
            yield key, value


def locate_keys(text: str) -> dict[str, int]:
    """Return the line number of each dotted key in a TOML text, as far as one look at each line tells."""
    lines: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if match := _TABLE_LINE.match(line):
            table = _plain_key(match[1]) + "."
        elif match := _KEY_LINE.match(line):
            lines.setdefault(table + _plain_key(match[1]), number)
    return lines


def _plain_key(written: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in written.split("."))


def from_environment(environ: Mapping[str, str]) -> Iterator[Given]:
    """Yield the values of all ``BRIGADE_*`` variables. Two underscores stand for a dot; an empty variable is not set.

    In the name of an endpoint an underscore stands for a dash, which no shell allows in a variable.

    Raises:
        ConfigError: two variables set the same key differently.
    """
    folder, seen = os.getcwd(), dict[str, str]()
    for variable, written in environ.items():
        if not variable.startswith(PREFIX) or not written or variable == "BRIGADE_CONFIG":
            continue
        if _KUBERNETES.fullmatch(variable):
            continue
        key = key_of_variable(variable)
        other = seen.setdefault(key, variable)
        if other != variable and environ[other] != written:
            raise ConfigError(f"{other} and {variable} set the same with two values", remedy="Unset one of them.")
        yield Given(key, written, f"environment {variable}", folder)


def key_of_variable(variable: str) -> str:
    """Return the dotted key that a ``BRIGADE_*`` variable sets."""
    if variable in SHORT_VARIABLES:
        return SHORT_VARIABLES[variable]
    parts = variable.removeprefix(PREFIX).lower().split("__")
    if parts[0] == "endpoints" and len(parts) > 2:
        parts[1] = parts[1].replace("_", "-")
    return ".".join(parts)


def variable_of_key(key: str) -> str:
    """Return the shortest variable that sets a dotted key."""
    for variable, short in SHORT_VARIABLES.items():
        if short == key:
            return variable
    return PREFIX + key.upper().replace(".", "__").replace("-", "_")


def from_flags(flags: Mapping[str, object]) -> Iterator[Given]:
    """Yield the values of flags, given by dotted key; None is a flag that was not given."""
    folder = os.getcwd()
    for key, written in flags.items():
        if written is not None:
            yield Given(key, written, f"flag {flag_of_key(key)}", folder)


def flag_of_key(key: str) -> str:
    """Return the command line's name of a dotted key."""
    name = key.rpartition(".")[2].removesuffix("_bytes").removesuffix("_s")
    return _SHORT_FLAGS.get(key, "--" + name.replace("_", "-"))

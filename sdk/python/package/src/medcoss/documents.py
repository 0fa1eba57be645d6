"""Documents of a run folder: JSON with a checksum and a format, JSON lines, and the TOML of the configuration.

A document of an earlier format is turned into one of today's, step by step; a later one is refused. These are the rules
of the program, so that both read the same.
"""

import hashlib
import json
import tomllib
from collections.abc import Callable
from typing import Any

from medcoss.confined import Folder
from medcoss.errors import DamagedFileError, UnsupportedError

FORMAT = 4

Document = dict[str, Any]

_MAX_DOCUMENT = 256 << 20
_MAX_TEXT = 1 << 30
_PLACEHOLDER = b"0" * 64


def read_document(folder: Folder, *names: str) -> Document:
    """A JSON document, after its checksum was compared with its content."""
    name, text = folder.name_of(*names), folder.read(*names, limit=_MAX_DOCUMENT)
    document = _parsed(text, name)
    version = document.get("format")
    if not isinstance(version, int) or isinstance(version, bool):
        raise DamagedFileError(f"{name} is damaged: it states no format")
    body = text.removesuffix(b"\n")
    # Format 1 had no checksum. A document with one is compared, whatever format a changed digit makes it claim.
    if "checksum" in document or version >= 4:
        _compare(body, b'"checksum": "', name)
    elif "seal" in document or version != 1:
        _compare(body, b'"seal": "', name)
    _check_format(version, name)
    for step in _MIGRATIONS[version - 1 :]:
        step(document)
    return document


def read_lines(folder: Folder, *names: str) -> list[Document]:
    """A file with one JSON object a line."""
    name, text = folder.name_of(*names), folder.read(*names, limit=_MAX_TEXT)
    return [_parsed(line, f"{name}, line {at}") for at, line in enumerate(text.splitlines(), 1)]


def read_record(folder: Folder, *names: str) -> Document:
    """The configuration of a run: TOML, with its checksum as the last line."""
    name, text = folder.name_of(*names), folder.read(*names, limit=_MAX_TEXT)
    _compare(text, b"# checksum: " if b"# checksum: " in text else b"# seal: ", name)
    try:
        record = tomllib.loads(text.decode())
    except (ValueError, RecursionError) as error:
        raise DamagedFileError(f"{name} is damaged: {error}") from error
    _check_format(record.get("format"), name)
    return record


def field(document: Document, name: str, kind: type, where: str) -> Any:
    """A field of a document, which has to be there and of this type."""
    value = document.get(name)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise DamagedFileError(f"{where} is damaged: {name} is {value!r:.80}, expected a value of type {kind.__name__}")
    return value


def _parsed(text: bytes, name: str) -> Document:
    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no number of JSON")

    try:
        document = json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise DamagedFileError(f"{name} is damaged: {error}") from error
    if not isinstance(document, dict):
        raise DamagedFileError(f"{name} is damaged: it holds no JSON object")
    return document


def _check_format(version: Any, name: str) -> None:
    if version not in range(1, FORMAT + 1):
        raise UnsupportedError(
            f"{name} has format {version}; this version reads formats 1 to {FORMAT}\nhint: update medcoss"
        )


def _compare(text: bytes, marker: bytes, name: str) -> None:
    start = text.find(marker) + len(marker)
    found = text[start : start + len(_PLACEHOLDER)]
    if start < len(marker) or len(found) < len(_PLACEHOLDER):
        raise DamagedFileError(f"{name} is damaged: it has no checksum")
    expected = hashlib.sha256(text[:start] + _PLACEHOLDER + text[start + len(found) :]).hexdigest()
    if found != expected.encode():
        recorded = found.decode(errors="replace")
        raise DamagedFileError(f"{name} is damaged: it records the checksum {recorded}, its content has {expected}")


def _add_checksum(document: Document) -> None:
    document["checksum"] = _PLACEHOLDER.decode()


def _add_decoder_positions(document: Document) -> None:
    """Formats 1 and 2 had as many positions in the decoder as in the embedder."""
    model = document.get("model")
    for family in _objects(model.get("families") if isinstance(model, dict) else None):
        if "n_positions" in family:
            family["n_decoder_positions"] = family["n_positions"]


def _rename_fields(document: Document) -> None:
    """Format 4 took over the field's names."""
    for before, now in [("seal", "checksum"), ("bad_samples", "invalid_samples"), ("account", "report")]:
        if before in document:
            document[now] = document.pop(before)
    for score in _objects(document.get("scores")):
        if "n_without" in score:
            score["n_undefined"] = score.pop("n_without")
    for task in _objects(document.get("tasks")):
        if task.get("protocol") == "cloze":
            task["protocol"] = "masked-lm"


def _objects(values: Any) -> list[Document]:
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


_MIGRATIONS: list[Callable[[Document], None]] = [_add_checksum, _add_decoder_positions, _rename_fields]

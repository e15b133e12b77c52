"""Check an untrusted model file before a runtime reads it. Called by `engines.bundle`.

This module has a small reader of protobuf's wire format, because the runtime does not need the onnx package, and
because a damaged length must be noticed before memory is allocated for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from engines.errors import ModelError
from engines.files import read_file, sha256_of_file

LARGEST_FILE = 1 << 30  # protobuf's own limit is 2 GiB; face classifiers are far smaller
DEEPEST = 8
MOST_NODES = 20_000  # hybrid has 400; ONNX Runtime takes about 0.1 ms per node to open a file
MOST_FIELDS = 2_000_000  # in the whole file; reading this number takes 2 s
DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")
# control flow: may run without end, and no face classifier needs it
REFUSED = ("If", "Loop", "Scan")

MOST_DIMENSION_BYTES = 256

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
# (message, field) -> type of message in the field; other fields are skipped by their length
_NESTED = {
    ("model", 7): "graph",
    ("model", 25): "function",
    ("graph", 1): "node",
    ("graph", 5): "tensor",
    ("graph", 15): "sparse",
    ("node", 5): "attribute",
    ("attribute", 5): "tensor",
    ("attribute", 6): "graph",
    ("attribute", 10): "tensor",
    ("attribute", 11): "graph",
    ("attribute", 22): "sparse",
    ("attribute", 23): "sparse",
    ("sparse", 1): "tensor",
    ("sparse", 2): "tensor",
}


@dataclass
class _Seen:
    graphs: int = 0
    nodes: int = 0
    fields: int = 0
    domains: set[str] = field(default_factory=set)


class DamagedModel(Exception):
    """Why a file is not loaded, in one clause."""


def read_model(path: Path) -> bytes:
    """The bytes of a self-contained ONNX file. `Bundle.read` also checks them against the manifest.

    Raises:
        ModelError: the file is unreadable, not a regular file, larger than 1 GiB or not a complete ONNX model, or it
            has external data, too many nodes, control-flow operators, operators of unknown domains or functions.
    """
    try:
        content = read_file(path, limit=LARGEST_FILE)
        check_model(content)
    except OSError as error:
        raise ModelError(f"cannot load {path}: {error.strerror or error}; export or download it again") from error
    except DamagedModel as error:
        raise ModelError(f"cannot load {path}: {error}; export or download the bundle again") from error
    return content


def check_model(content: bytes) -> None:
    """Check bytes as `read_model` does.

    Raises:
        DamagedModel: they are not a complete ONNX model, or not an allowed one; the message says why.
    """
    seen = _Seen()
    _walk(memoryview(content), "model", seen, 0)
    if seen.graphs != 1 or not seen.nodes:
        raise DamagedModel("it is not an ONNX model")
    foreign = sorted(seen.domains - set(DOMAINS))
    if foreign:
        raise DamagedModel(f"it needs operators of {foreign[0]!r}, which ONNX Runtime does not have")


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file.

    Raises:
        ModelError: it cannot be read.
    """
    try:
        return sha256_of_file(path)
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from error


def _walk(data: memoryview, message: str, seen: _Seen, depth: int) -> None:
    if depth > DEEPEST:
        raise DamagedModel("it is nested too deeply")
    elements, op, domain = 1, "", ""
    for number, value, _ in fields(data):
        seen.fields += 1
        if seen.fields > MOST_FIELDS or seen.nodes > MOST_NODES:
            raise DamagedModel(f"it has more than {MOST_NODES} nodes or {MOST_FIELDS} fields")
        if value is None:
            continue
        inner = _NESTED.get((message, number))
        if inner is not None:
            if isinstance(value, int):
                raise DamagedModel("it is damaged (a number instead of a message)")
            seen.graphs += (message, inner) == ("model", "graph")
            seen.nodes += inner == "node"
            if inner == "function":
                # ONNX Runtime inlines functions recursively, so a small file can expand without limit
                raise DamagedModel("it defines functions, which no face classifier needs: inline them")
            _walk(value, inner, seen, depth + 1)
        elif message == "tensor":
            if number == 13 or (number == 14 and value):
                raise DamagedModel("its weights are in another file, which is not allowed")
            if number == 1:
                for size in [value] if isinstance(value, int) else varints(value[:MOST_DIMENSION_BYTES]):
                    elements *= size
        elif message == "node" and not isinstance(value, int):
            if number == 4:
                op = _text(value)
            elif number == 7:
                domain = _text(value)
    # the smallest weights have four bits; no form takes less than one bit per value
    if message == "tensor" and elements > 8 * len(data):
        raise DamagedModel(f"a tensor claims {elements} values in {len(data)} bytes")
    if message == "node":
        seen.domains.add(domain)
        if domain in ("", "ai.onnx") and op in REFUSED:
            raise DamagedModel(f"it contains the operator {op}, which no face classifier needs")


def fields(data: memoryview) -> Iterator[tuple[int, int | memoryview | None, memoryview]]:
    """(field number, its value, its bytes with the key) of one message; the value of a fixed-width field is None.

    Raises:
        DamagedModel: a length reaches beyond the data.
    """
    position, end = 0, len(data)
    while position < end:
        start = position
        key, position = _varint(data, position)
        kind, number = key & 7, key >> 3
        if number == 0:
            raise DamagedModel("it is not an ONNX model")
        if kind == _VARINT:
            value, position = _varint(data, position)
            yield number, value, data[start:position]
        elif kind == _BYTES:
            length, position = _varint(data, position)
            if length > end - position:
                raise DamagedModel(f"it is damaged or cut off ({length} bytes announced, {end - position} present)")
            position += length
            yield number, data[position - length : position], data[start:position]
        elif kind in (_FIXED32, _FIXED64):
            position += 4 if kind == _FIXED32 else 8
            if position > end:
                raise DamagedModel("it is cut off")
            yield number, None, data[start:position]
        else:
            raise DamagedModel("it is not an ONNX model")


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(data) and shift < 70:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise DamagedModel("it is damaged or cut off")


def varints(data: memoryview) -> Iterator[int]:
    """The integers of a packed field."""
    position = 0
    while position < len(data):
        value, position = _varint(data, position)
        yield value


def _text(value: memoryview) -> str:
    return bytes(value[:200]).decode("utf-8", errors="replace")

"""Expand an FP16 ONNX graph to FP32 with the same weights, without the onnx package.

`Bundle.read` calls it if FP32 is requested from a bundle without its FP32 model. The weights stay rounded to FP16; the
arithmetic is FP32, as it is in ONNX Runtime's CPU kernels for the FP16 file.
"""

from __future__ import annotations

import numpy as np

from engines.model_file import fields, varints

FLOAT, FLOAT16 = 1, 10  # of onnx.TensorProto.DataType


def widen(content: bytes) -> bytes:
    """Rewrite a checked ONNX file; see https://github.com/onnx/onnx/blob/main/onnx/onnx.proto for the numbers.

    FP16 tensors become FP32, casts to FP16 become casts to FP32, and the types of inner values are removed, because
    the runtime infers them.

    Raises:
        DamagedModel: a length reaches beyond the data.
    """
    return b"".join(
        _message(number, _graph(value)) if number == 7 and isinstance(value, memoryview) else bytes(raw)
        for number, value, raw in fields(memoryview(content))
    )


def _graph(data: memoryview) -> bytes:
    parts: list[bytes] = []
    for number, value, raw in fields(data):
        if number == 1 and isinstance(value, memoryview):
            parts.append(_message(1, _node(value)))
        elif number == 5 and isinstance(value, memoryview):
            parts.append(_message(5, _tensor(value)))
        elif number != 13:  # value_info
            parts.append(bytes(raw))
    return b"".join(parts)


def _node(data: memoryview) -> bytes:
    casts = _text(data, 4) == b"Cast"
    return b"".join(
        _message(5, _attribute(value, casts)) if number == 5 and isinstance(value, memoryview) else bytes(raw)
        for number, value, raw in fields(data)
    )


def _attribute(data: memoryview, casts: bool) -> bytes:
    target = casts and _text(data, 1) == b"to"
    parts: list[bytes] = []
    for number, value, raw in fields(data):
        if target and number == 3 and value == FLOAT16:
            parts.append(_varint_field(3, FLOAT))
        elif number == 5 and isinstance(value, memoryview):
            parts.append(_message(5, _tensor(value)))
        else:
            parts.append(bytes(raw))
    return b"".join(parts)


def _tensor(data: memoryview) -> bytes:
    if not any(number == 2 and value == FLOAT16 for number, value, _ in fields(data)):
        return bytes(data)
    parts: list[bytes] = []
    integers: list[int] = []
    for number, value, raw in fields(data):
        if number == 2:
            parts.append(_varint_field(2, FLOAT))
        elif number == 9 and isinstance(value, memoryview):
            parts.append(_message(9, np.frombuffer(value, "<f2").astype("<f4").tobytes()))
        elif number == 5 and value is not None:
            # the other form of storage: the sixteen bits of each value as an integer, packed or one by one
            integers += [value] if isinstance(value, int) else varints(value)
        else:
            parts.append(bytes(raw))
    if integers:
        halves = np.asarray(integers, np.int64).astype("<u2").view("<f2")
        parts.append(_message(9, halves.astype("<f4").tobytes()))
    return b"".join(parts)


def _text(data: memoryview, wanted: int) -> bytes:
    return next(
        (bytes(value) for number, value, _ in fields(data) if number == wanted and isinstance(value, memoryview)), b""
    )


def _message(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint_field(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    made.append(value)
    return bytes(made)

"""The part of the ONNX file format that a transformer needs, read and written with protobuf alone.

Field numbers: ``onnx.proto3`` of https://github.com/onnx/onnx (IR version 8). Fields not listed here survive a round
trip as protobuf's unknown fields. Knows messages; never what a graph computes.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.errors import ModelFileError

_NUMBER = {"float": 2, "int64": 3, "int32": 5, "string": 9, "message": 11, "bytes": 12}  # protobuf's own type codes
# message → (field, number, type or message; [] around what is repeated)
_SCHEMA: Mapping[str, Sequence[tuple[str, int, str]]] = {
    "Opset": (("domain", 1, "string"), ("version", 2, "int64")),
    "Dimension": (("dim_value", 1, "int64"), ("dim_param", 2, "string")),
    "Shape": (("dim", 1, "[Dimension]"),),
    "TensorType": (("elem_type", 1, "int32"), ("shape", 2, "Shape")),
    "Type": (("tensor_type", 1, "TensorType"),),
    "Value": (("name", 1, "string"), ("type", 2, "Type")),
    "Tensor": (
        ("dims", 1, "[int64]"),
        ("data_type", 2, "int32"),
        ("float_data", 4, "[float]"),
        ("int64_data", 7, "[int64]"),
        ("name", 8, "string"),
        ("raw_data", 9, "bytes"),
    ),
    "Attribute": (
        ("name", 1, "string"),
        ("f", 2, "float"),
        ("i", 3, "int64"),
        ("t", 5, "Tensor"),
        ("ints", 8, "[int64]"),
        ("type", 20, "int32"),
    ),
    "Node": (
        ("input", 1, "[string]"),
        ("output", 2, "[string]"),
        ("name", 3, "string"),
        ("op_type", 4, "string"),
        ("attribute", 5, "[Attribute]"),
        ("domain", 7, "string"),
    ),
    "Graph": (
        ("node", 1, "[Node]"),
        ("name", 2, "string"),
        ("initializer", 5, "[Tensor]"),
        ("input", 11, "[Value]"),
        ("output", 12, "[Value]"),
    ),
    "Model": (
        ("ir_version", 1, "int64"),
        ("producer_name", 2, "string"),
        ("graph", 7, "Graph"),
        ("opset_import", 8, "[Opset]"),
    ),
}
FLOAT, INT64 = 1, 7  # TensorProto.DataType
_KINDS: dict[int, np.dtype[Any]] = {FLOAT: np.dtype("<f4"), INT64: np.dtype("<i8")}
_ATTRIBUTE = {"f": 1, "i": 2, "t": 4, "ints": 7}  # AttributeProto.AttributeType


@functools.cache
def message(name: str) -> Any:
    """The protobuf class of a message of the schema above."""
    from google.protobuf import message_factory

    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(f"workbench.onnx.{name}"))


def read_model(path: Path) -> Any:
    """A ``Model`` message.

    Raises:
        ModelFileError: the file cannot be read, or is no ONNX model.
    """
    from google.protobuf.message import DecodeError

    model = message("Model")()
    try:
        model.ParseFromString(path.read_bytes())
    except OSError as error:
        raise ModelFileError(path, f"cannot be read: {error.strerror or error}") from error
    except DecodeError as error:
        raise ModelFileError(path, f"is not an ONNX model ({error}). Install or download it again.") from error
    if not model.graph.node:
        raise ModelFileError(path, "is not an ONNX model: it has no graph. Install or download it again.")
    return model


def array(tensor: Any) -> npt.NDArray[Any]:
    """The values of a float32 or int64 ``Tensor`` in its shape.

    Raises:
        ValueError: another data type.
    """
    if tensor.data_type not in _KINDS:
        raise ValueError(f"{tensor.name} has data type {tensor.data_type}; only float32 and int64 are read here.")
    kind = _KINDS[tensor.data_type]
    inline = tensor.float_data if tensor.data_type == FLOAT else tensor.int64_data
    values = np.frombuffer(tensor.raw_data, kind) if tensor.raw_data else np.array(inline, kind)
    shaped: npt.NDArray[Any] = values.reshape(tuple(tensor.dims))
    return shaped


def tensor(name: str, values: npt.NDArray[Any]) -> Any:
    """A ``Tensor``: int64 for integers, else float32."""
    data_type = INT64 if values.dtype.kind in "iu" else FLOAT
    raw = np.ascontiguousarray(values, _KINDS[data_type]).tobytes()
    return message("Tensor")(name=name, dims=values.shape, data_type=data_type, raw_data=raw)


def value(name: str, data_type: int, shape: Sequence[int | str]) -> Any:
    """A graph's input or output; a text in ``shape`` names a length that varies."""
    dimensions = [{"dim_param": size} if isinstance(size, str) else {"dim_value": size} for size in shape]
    return message("Value")(name=name, type={"tensor_type": {"elem_type": data_type, "shape": {"dim": dimensions}}})


def node(op_type: str, inputs: Sequence[str], output: str, **attributes: float | Sequence[int]) -> Any:
    """An operation of one output."""
    made = [
        message("Attribute")(name=name, type=_ATTRIBUTE[field], **{field: given})
        for name, given in attributes.items()
        for field in ["i" if isinstance(given, int) else "f" if isinstance(given, float) else "ints"]
    ]
    return message("Node")(op_type=op_type, input=inputs, output=[output], name=output, attribute=made)


@functools.cache
def _pool() -> Any:
    from google.protobuf import descriptor_pb2, descriptor_pool

    file = descriptor_pb2.FileDescriptorProto(name="workbench/onnx.proto", package="workbench.onnx", syntax="proto3")
    for name, fields in _SCHEMA.items():
        described = file.message_type.add(name=name)
        for field, number, kind in fields:
            bare = kind.strip("[]")
            described.field.add(
                name=field,
                number=number,
                label=3 if bare != kind else 1,
                type=_NUMBER.get(bare, _NUMBER["message"]),
                type_name=None if bare in _NUMBER else f".workbench.onnx.{bare}",
            )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool

"""Networks as ONNX files in memory, for ONNX Runtime: a layer at a time, written without the `onnx` package.

The format is onnx.proto of https://github.com/onnx/onnx in the encoding of protocol buffers; the numbers here are that
file's field numbers.
"""

import struct
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

IR_VERSION, OPSET = 8, 13
_FLOAT32, _INT64 = 1, 7
_TYPE = {"i": 2, "f": 1, "ints": 7}
"""AttributeProto.type of each kind of value."""

Attribute = int | float | Sequence[int]


class Value(Protocol):
    """An input or output of a session."""

    name: str
    shape: Sequence[int | str | None]


class Session(Protocol):
    """What is used of `onnxruntime.InferenceSession`."""

    def get_inputs(self) -> Sequence[Value]:
        """What it takes."""

    def get_outputs(self) -> Sequence[Value]:
        """What it gives."""

    def run(self, names: Sequence[str] | None, feeds: dict[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        """Outputs, all of them where `names` is None."""


class OnnxGraph:
    """One graph as it grows: values are known by the names that `constant` and `add` return."""

    def __init__(self, name: str) -> None:
        """Begin with nothing."""
        self._name = name
        self._nodes: list[bytes] = []
        self._constants: list[bytes] = []
        self._inputs: list[bytes] = []
        self._outputs: list[bytes] = []

    def take(self, name: str, shape: Sequence[int | str]) -> str:
        """An input of float32; a dimension that may vary is a text."""
        self._inputs.append(_value(name, shape))
        return name

    def give(self, name: str, shape: Sequence[int | str]) -> None:
        """Make a value an output."""
        self._outputs.append(_value(name, shape))

    def constant(self, values: NDArray[np.float32] | NDArray[np.int64]) -> str:
        """A tensor of the graph's own."""
        name = f"c{len(self._constants)}"
        kind = _INT64 if values.dtype == np.int64 else _FLOAT32
        dims = b"".join(_whole(1, size) for size in values.shape)
        plain = np.ascontiguousarray(values, np.dtype(values.dtype).newbyteorder("<")).tobytes()
        self._constants.append(dims + _whole(2, kind) + _text(8, name) + _bytes(9, plain))
        return name

    def add(self, operator: str, inputs: Sequence[str], output: str = "", **attributes: Attribute) -> str:
        """Apply an operator; returns its output's name."""
        name = output or f"v{len(self._nodes)}"
        node = b"".join(_text(1, one) for one in inputs) + _text(2, name) + _text(4, operator)
        self._nodes.append(node + b"".join(_bytes(5, _attribute(key, value)) for key, value in attributes.items()))
        return name

    def file(self) -> bytes:
        """The whole model file."""
        graph = b"".join(_bytes(1, node) for node in self._nodes) + _text(2, self._name)
        graph += b"".join(_bytes(5, constant) for constant in self._constants)
        graph += b"".join(_bytes(11, one) for one in self._inputs) + b"".join(_bytes(12, one) for one in self._outputs)
        return _whole(1, IR_VERSION) + _text(2, "vividhead") + _bytes(7, graph) + _bytes(8, _whole(2, OPSET))


def onnx_of(layers: nn.Sequential, name: str, shape: Sequence[int], width: int) -> bytes:
    """A chain of plain layers on batches of `shape` (without the batch), which gives points of `width` numbers.

    Raises TypeError for a layer that it does not know.
    """
    graph = OnnxGraph(name)
    value = graph.take("x", ("batch", *shape))
    for layer in _flat(layers):
        value = _added(graph, layer, value)
    graph.give(graph.add("Identity", [value], "y"), ("batch", width))
    return graph.file()


def session(model: bytes | str, threads: int | None = None) -> Session:
    """ONNX Runtime on the CPU, with `threads` or as many as torch has, of a model file's bytes or path."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or torch.get_num_threads()
    options.log_severity_level = 3  # errors
    opened: Session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return opened


def _flat(layers: nn.Sequential) -> list[nn.Module]:
    out: list[nn.Module] = []
    for layer in layers:
        out += _flat(layer) if isinstance(layer, nn.Sequential) else [layer]
    return out


def _added(graph: OnnxGraph, layer: nn.Module, value: str) -> str:
    match layer:
        case nn.Conv2d():
            assert not isinstance(layer.padding, str)
            known = [_weights(graph, layer.weight), *([] if layer.bias is None else [_weights(graph, layer.bias)])]
            pads = (*layer.padding, *layer.padding)
            return graph.add(
                "Conv", [value, *known], kernel_shape=layer.kernel_size, strides=layer.stride, pads=pads,
                group=layer.groups,
            )  # fmt: skip
        case nn.BatchNorm2d() | nn.BatchNorm1d():
            assert layer.running_mean is not None and layer.running_var is not None
            known = [_weights(graph, t) for t in (layer.weight, layer.bias, layer.running_mean, layer.running_var)]
            return graph.add("BatchNormalization", [value, *known], epsilon=layer.eps)
        case nn.ReLU():
            return graph.add("Relu", [value])
        case nn.PReLU():
            slope = graph.constant(layer.weight.detach().cpu().numpy().reshape(-1, 1, 1))
            return graph.add("PRelu", [value, slope])
        case nn.MaxPool2d():
            kernel, stride, padding = _pair(layer.kernel_size), _pair(layer.stride), _pair(layer.padding)
            return graph.add("MaxPool", [value], kernel_shape=kernel, strides=stride, pads=(*padding, *padding))
        case nn.Flatten():
            return graph.add("Flatten", [value], axis=1)
        case nn.Linear():
            return graph.add(
                "Gemm",
                [value, _weights(graph, layer.weight), _weights(graph, layer.bias)],
                alpha=1.0,
                beta=1.0,
                transB=1,
            )
        case _:
            raise TypeError(f"no ONNX is written for a layer {type(layer).__name__}")


def _weights(graph: OnnxGraph, tensor: torch.Tensor) -> str:
    return graph.constant(tensor.detach().float().cpu().contiguous().numpy())


def _pair(size: int | tuple[int, ...]) -> tuple[int, ...]:
    return (size, size) if isinstance(size, int) else tuple(size)


def _varint(number: int) -> bytes:
    out = bytearray()
    number &= (1 << 64) - 1
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*out, number))


def _whole(field: int, number: int) -> bytes:
    return _varint(field << 3) + _varint(number)


def _bytes(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _text(field: int, text: str) -> bytes:
    return _bytes(field, text.encode())


def _attribute(name: str, value: Attribute) -> bytes:
    if isinstance(value, int):
        return _text(1, name) + _whole(3, value) + _whole(20, _TYPE["i"])
    if isinstance(value, float):
        return _text(1, name) + _varint(2 << 3 | 5) + struct.pack("<f", value) + _whole(20, _TYPE["f"])
    return _text(1, name) + b"".join(_whole(8, number) for number in value) + _whole(20, _TYPE["ints"])


def _value(name: str, shape: Sequence[int | str]) -> bytes:
    dims = (_whole(1, size) if isinstance(size, int) else _text(2, size) for size in shape)
    tensor = _whole(1, _FLOAT32) + _bytes(2, b"".join(_bytes(1, dim) for dim in dims))
    return _text(1, name) + _bytes(2, _bytes(1, tensor))

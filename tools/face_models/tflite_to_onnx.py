"""Rewrite MediaPipe's networks from TFLite as ONNX: channels first, weights in float32.

The networks are Face Mesh V2 and Selfie Segmentation. TFLite keeps their weights in half precision;
OpenCV's newest engine runs float32 only, so they are widened here, which loses nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
import tflite
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET, IR_VERSION = 17, 8


@dataclass(frozen=True)
class Network:
    """What is converted of one TFLite file.

    Attributes:
        name: Of the ONNX graph.
        input: Its name and shape here.
        outputs: Names in the TFLite file -> names and shapes here.
    """

    name: str
    input: tuple[str, tuple[int, ...]]
    outputs: Mapping[str, tuple[str, tuple[int, ...]]]


# x, y in pixels of the input and z for each of 478 points; and how present a face is, before the
# sigmoid. The input is RGB, 0 to 1.
FACE_MESH = Network(
    "face_mesh_v2",
    ("face", (1, 3, 256, 256)),
    MappingProxyType(
        {
            "Identity": ("points", (1, 1434, 1, 1)),
            "Identity_1": ("presence", (1, 1, 1, 1)),
        }
    ),
)
# How probably each pixel shows a person. The input is RGB, 0 to 1.
SELFIE_SEGMENTATION = Network(
    "selfie_segmentation",
    ("picture", (1, 3, 256, 256)),
    MappingProxyType({"activation_10": ("person", (1, 1, 256, 256))}),
)
KINDS = {number: name for name, number in vars(tflite.BuiltinOperator).items() if name[0] != "_"}
DTYPES = {
    tflite.TensorType.FLOAT32: np.float32,
    tflite.TensorType.FLOAT16: np.float16,
    tflite.TensorType.INT32: np.int32,
}
TO_CHANNELS_FIRST = (0, 3, 1, 2)


def convert(data: bytes, network: Network) -> bytes:
    """Convert a network.

    Args:
        data: The TFLite file.
        network: What it holds.

    Returns:
        The ONNX file's bytes, the same for the same input and the same versions of packages.

    Raises:
        ValueError: The network has an operator, or an option of one, that is not known here.
    """
    model = onnx.shape_inference.infer_shapes(_Conversion(data, network).model(), strict_mode=True)
    del model.graph.value_info[:]
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


class _Conversion:
    """One network on its way: ONNX nodes and weights, and which tensor became which value."""

    def __init__(self, data: bytes, network: Network) -> None:
        self._network = network
        self._source = tflite.Model.GetRootAsModel(data, 0)
        self._graph = self._source.Subgraphs(0)
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []
        self._widened: dict[int, NDArray[Any]] = {}  # tensors whose values are constants
        self._values = {int(self._graph.Inputs(0)): network.input[0]}

    def model(self) -> onnx.ModelProto:
        outputs = self._network.outputs
        wanted = {self._tensor_named(name): name for name in outputs}
        for index in range(self._graph.OperatorsLength()):
            self._convert(self._graph.Operators(index))
            if wanted.keys() <= self._values.keys():
                break
        for tensor, name in wanted.items():
            self._nodes.append(
                helper.make_node("Identity", [self._values[tensor]], [outputs[name][0]])
            )
        name, shape = self._network.input
        graph = helper.make_graph(
            _needed(self._nodes, {name for name, _ in outputs.values()}),
            self._network.name,
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)],
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
                for name, shape in outputs.values()
            ],
        )
        used = {name for node in graph.node for name in node.input}
        graph.initializer.extend(weight for weight in self._weights if weight.name in used)
        return helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="multitalk",
        )

    def _convert(self, operator: Any) -> None:
        code = self._source.OperatorCodes(operator.OpcodeIndex())
        kind = KINDS[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
        if kind == "CUSTOM":
            kind = code.CustomCode().decode()
        converters: dict[str, Callable[[Any, list[int]], str | None]] = {
            "DEQUANTIZE": self._widen,
            "CONV_2D": self._convolution,
            "DEPTHWISE_CONV_2D": self._depthwise_convolution,
            "Convolution2DTransposeBias": self._transposed_convolution,
            "PRELU": self._prelu,
            "RELU": lambda _, inputs: self._node("Relu", [self._values[inputs[0]]]),
            "HARD_SWISH": lambda _, inputs: self._node("HardSwish", [self._values[inputs[0]]]),
            "ADD": self._sum,
            "MUL": self._product,
            "MAX_POOL_2D": self._pooling,
            "AVERAGE_POOL_2D": self._mean,
            "RESIZE_BILINEAR": self._doubling,
            "PAD": self._padding,
        }
        if self._network is SELFIE_SEGMENTATION:
            converters["LOGISTIC"] = lambda _, inputs: self._node(
                "Sigmoid", [self._values[inputs[0]]]
            )
        # The sigmoid of the mesh's second head, which nothing here reads.
        elif kind in {"LOGISTIC", "RESHAPE"}:
            return
        if kind not in converters:
            raise ValueError(f"no rule for the operator {kind}")
        value = converters[kind](operator, [int(tensor) for tensor in operator.InputsAsNumpy()])
        if value is not None:
            self._values[int(operator.Outputs(0))] = value

    # ---- operators

    def _widen(self, operator: Any, inputs: list[int]) -> None:
        self._widened[int(operator.Outputs(0))] = self._constant(inputs[0]).astype(np.float32)

    def _convolution(self, operator: Any, inputs: list[int]) -> str:
        options = _options(operator, tflite.Conv2DOptions)
        weight = self._constant(inputs[1]).transpose(TO_CHANNELS_FIRST)
        return self._convolved(options, inputs, weight, groups=1)

    def _depthwise_convolution(self, operator: Any, inputs: list[int]) -> str:
        options = _options(operator, tflite.DepthwiseConv2DOptions)
        weight = self._constant(inputs[1]).transpose(3, 0, 1, 2)
        return self._convolved(options, inputs, weight, groups=len(weight))

    def _convolved(
        self, options: Any, inputs: list[int], weight: NDArray[Any], *, groups: int
    ) -> str:
        if options.DilationHFactor() != 1 or options.DilationWFactor() != 1:
            raise ValueError("no rule for dilated convolutions")
        window = weight.shape[2:]
        names = [self._values[inputs[0]], self._weight(weight)]
        names += [self._weight(self._constant(bias)) for bias in inputs[2:]]
        return self._activated(
            options,
            self._node(
                "Conv",
                names,
                kernel_shape=window,
                strides=(options.StrideH(), options.StrideW()),
                pads=self._margins(options, inputs[0], window),
                group=groups,
            ),
        )

    def _pooling(self, operator: Any, inputs: list[int]) -> str:
        options = _options(operator, tflite.Pool2DOptions)
        window = (options.FilterHeight(), options.FilterWidth())
        pooled = self._node(
            "MaxPool",
            [self._values[inputs[0]]],
            kernel_shape=window,
            strides=(options.StrideH(), options.StrideW()),
            pads=self._margins(options, inputs[0], window),
        )
        return self._activated(options, pooled)

    def _prelu(self, _: Any, inputs: list[int]) -> str:
        slope = self._constant(inputs[1]).reshape(-1, 1, 1)
        return self._node("PRelu", [self._values[inputs[0]], self._weight(slope)])

    def _sum(self, operator: Any, inputs: list[int]) -> str:
        added = self._node("Add", [self._values[tensor] for tensor in inputs])
        return self._activated(_options(operator, tflite.AddOptions), added)

    def _product(self, operator: Any, inputs: list[int]) -> str:
        made = self._node("Mul", [self._values[tensor] for tensor in inputs])
        return self._activated(_options(operator, tflite.MulOptions), made)

    def _mean(self, operator: Any, inputs: list[int]) -> str:
        options = _options(operator, tflite.Pool2DOptions)
        sizes = self._graph.Tensors(inputs[0]).ShapeAsNumpy().tolist()[1:3]
        if [options.FilterHeight(), options.FilterWidth()] != sizes:
            raise ValueError("no rule for means of a part of the picture")
        return self._node("GlobalAveragePool", [self._values[inputs[0]]])

    def _doubling(self, operator: Any, inputs: list[int]) -> str:
        options = _options(operator, tflite.ResizeBilinearOptions)
        before = self._graph.Tensors(inputs[0]).ShapeAsNumpy()[1:3]
        if options.AlignCorners() or (self._constant(inputs[1]) != 2 * before).any():
            raise ValueError("no rule for another resizing than doubling")
        scales = self._weight(np.array([1, 1, 2, 2], np.float32))
        half_pixel = options.HalfPixelCenters()
        return self._node(
            "Resize",
            [self._values[inputs[0]], "", scales],
            mode="linear",
            coordinate_transformation_mode="half_pixel" if half_pixel else "asymmetric",
        )

    def _transposed_convolution(self, _: Any, inputs: list[int]) -> str:
        """MediaPipe's own operator, whose windows of 2 x 2 pixels do not overlap."""
        weight = self._constant(inputs[1]).transpose(3, 0, 1, 2)
        if weight.shape[2:] != (2, 2):
            raise ValueError("no rule for windows that overlap")
        names = [self._values[inputs[0]], self._weight(weight)]
        names.append(self._weight(self._constant(inputs[2])))
        return self._node("ConvTranspose", names, kernel_shape=(2, 2), strides=(2, 2))

    def _padding(self, _: Any, inputs: list[int]) -> str:
        before_and_after = self._constant(inputs[1])[list(TO_CHANNELS_FIRST)]
        amounts = self._weight(before_and_after.T.reshape(-1).astype(np.int64))
        return self._node("Pad", [self._values[inputs[0]], amounts])

    # ---- what operators are made of

    def _activated(self, options: Any, value: str) -> str:
        kind = options.FusedActivationFunction()
        if kind == tflite.ActivationFunctionType.NONE:
            return value
        if kind == tflite.ActivationFunctionType.RELU:
            return self._node("Relu", [value])
        raise ValueError(f"no rule for the activation {kind}")

    def _margins(self, options: Any, tensor: int, window: tuple[int, ...]) -> list[int]:
        """Zeros around a picture, as TFLite counts them: top, left, bottom, right."""
        if options.Padding() == tflite.Padding.VALID:
            return [0, 0, 0, 0]
        sizes = self._graph.Tensors(tensor).ShapeAsNumpy().tolist()[1:3]
        strides = (options.StrideH(), options.StrideW())
        missing = [
            max(0, (-(-size // stride) - 1) * stride + reach - size)
            for size, stride, reach in zip(sizes, strides, window, strict=True)
        ]
        before = [amount // 2 for amount in missing]
        return before + [amount - first for amount, first in zip(missing, before, strict=True)]

    def _constant(self, tensor: int) -> NDArray[Any]:
        if tensor in self._widened:
            return self._widened[tensor]
        stored = self._graph.Tensors(tensor)
        raw = self._source.Buffers(stored.Buffer()).DataAsNumpy()
        return np.frombuffer(raw.tobytes(), DTYPES[stored.Type()]).reshape(stored.ShapeAsNumpy())

    def _tensor_named(self, name: str) -> int:
        for index in range(self._graph.TensorsLength()):
            if self._graph.Tensors(index).Name().decode() == name:
                return index
        raise ValueError(f"the network has no tensor {name}")

    def _weight(self, values: NDArray[Any]) -> str:
        name = f"weight{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def _node(self, kind: str, inputs: list[str], **attributes: object) -> str:
        name = f"value{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name


def _options(operator: Any, kind: Any) -> Any:
    """An operator's options, as the table that its kind has."""
    table = operator.BuiltinOptions()
    options = kind()
    options.Init(table.Bytes, table.Pos)
    return options


def _needed(nodes: list[onnx.NodeProto], outputs: set[str]) -> list[onnx.NodeProto]:
    """The nodes on which outputs depend, in their order."""
    wanted, kept = set(outputs), []
    for node in reversed(nodes):
        if wanted & set(node.output):
            wanted |= set(node.input)
            kept.append(node)
    return kept[::-1]

"""Exports to ONNX. Shape letters: B batch, T tokens, M masked positions."""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import keras
import numpy as np

from spanbert_keras.conversion.exports.verification import check_exportable, check_outputs, require_extra, sample_inputs
from spanbert_keras.errors import InputError
from spanbert_keras.files.writing import input_error_if_unwritable, write_atomically

MAX_BYTES = 2**31 - 2**20  # of a graph: protobuf's limit for a file, less room for what else is in it
GRAPH_FIELD = 7  # number of the field `graph` in `onnx.ModelProto`
OF_TOKENS = ("token_ids", "segment_ids", "padding_mask", "sequence_output", "start_logits", "end_logits")
SECOND_AXES = dict.fromkeys(OF_TOKENS, "length") | dict.fromkeys(("pair_positions", "next_sentence"), "pairs")

AxisNames = Callable[[str], tuple[str, ...]]


def export_onnx(model, path: str | os.PathLike, quantize: bool = False) -> float:
    """Writes an ONNX file atomically, after comparing its outputs in onnxruntime with the model's.

    Inputs and outputs have the model's names. Inputs are int32 of any batch size and length: for an encoder
    and the models of tasks `token_ids`, `segment_ids` and `padding_mask` `(batch, length)`; a pretrainer also has its
    four position inputs `(batch, positions)` and, with a next-sentence head, `pair_positions` `(batch, pairs)`.

    The graph is converted (by tf2onnx) without its weights, which are added to the file one by one. Besides the model,
    an export needs about 3.5 times the memory of the weights, most of it for the comparison.

    Args:
        model: `SpanBertEncoder`, `SpanBertPretrainer` or the model of a task, except a coreference resolver, that
            computes in float32.
        path: path of the file, usually `*.onnx`. An existing file is replaced. Needs the extra `export`.
        quantize: bool. Whether kernels and the tables of embeddings are stored as int8 (of seven bits, which computes
            the same on every processor), and what is multiplied by a kernel is rounded to 8 bits while the model runs.
            Defaults to `False`.

    Returns:
        float. Largest difference between onnxruntime's outputs and the model's, on a batch with padding.

    Raises:
        InputError: a package of the extra `export` is not installed; the backend is not TensorFlow; the model is not
            one of this package, computes in another dtype or has more than 2 GB of weights; the file cannot be written;
            its outputs differ from the model's by more than rounding explains (with `quantize`: are not numbers).

    Example:

    ```python
    import numpy as np
    import onnxruntime

    from spanbert_keras import SpanBertEncoder
    from spanbert_keras.conversion.exports.onnx_export import export_onnx

    encoder = SpanBertEncoder(
        vocabulary_size=7, num_layers=1, num_heads=2, hidden_dim=4, intermediate_dim=8, max_sequence_length=16
    )
    export_onnx(encoder, "encoder.onnx")
    session = onnxruntime.InferenceSession("encoder.onnx")
    rows = {name: np.ones((1, 9), "int32") for name in ("token_ids", "segment_ids", "padding_mask")}
    (sequence_output,) = session.run(["sequence_output"], rows)
    sequence_output.shape  # (1, 9, 4)
    ```
    """
    check_exportable(model, "ONNX")
    require_extra("ONNX", "onnx", "onnxruntime", "tf2onnx")
    differences = []

    def write(temporary: Path) -> None:
        write_onnx(model, {name: ("int32", _axes_of(name)) for name in model.input_keys}, _axes_of, temporary)
        if quantize:
            _quantize(temporary)
        inputs = sample_inputs(model)
        differences.append(check_outputs(model, inputs, open_onnx(temporary), quantize))

    with input_error_if_unwritable(path):
        write_atomically(path, write)
    return differences[0]


def write_onnx(model, inputs: Mapping[str, tuple[str, tuple]], output_axes: AxisNames, path: Path) -> None:
    """Writes a built model as an ONNX file.

    Args:
        model: model that takes a dict of inputs and returns one of outputs.
        inputs: dict from each input's name to its dtype and its shape, in which a free axis is its name. Axes with one
            name have one size.
        output_axes: function from an output's name to the names of its first axes, used for those that are free.
        path: path of the file.
    """
    import onnx

    weights = {f"weight_{index}": variable for index, variable in enumerate(model.variables)}
    _write_graph(model, inputs, weights, path)
    exported = onnx.load(str(path))
    for value in exported.graph.input:
        if value.name in inputs:  # not a weight
            _name_free_axes(value, inputs[value.name][1])
    for value in exported.graph.output:
        _name_free_axes(value, output_axes(value.name))
    onnx.checker.check_model(exported)
    _write_with_weights(exported, weights, path)


def _write_graph(model, specs: Mapping, weights: Mapping[str, keras.Variable], path: Path) -> None:
    """Writes an ONNX file whose weights are inputs. tf2onnx would copy weights inside the graph dozens of times."""
    import tensorflow as tf

    names = {id(variable): name for name, variable in weights.items()}

    class Stateless(keras.Model):
        def call(self, inputs):
            trainable, others = (
                [inputs[names[id(variable)]] for variable in variables]
                for variables in (model.trainable_variables, model.non_trainable_variables)
            )
            outputs, _ = model.stateless_call(trainable, others, inputs, training=False)
            return outputs

    stateless = Stateless(name=model.name, dtype="float32", autocast=False)
    stateless.built = True  # it has no weights of its own
    shapes = {name: [None if isinstance(size, str) else size for size in shape] for name, (_, shape) in specs.items()}
    rows = {name: tf.TensorSpec(shapes[name], dtype, name=name) for name, (dtype, _) in specs.items()}
    held = {name: tf.TensorSpec(variable.shape, variable.dtype, name=name) for name, variable in weights.items()}
    stateless.export(str(path), format="onnx", verbose=False, input_signature=[rows | held])


def _axes_of(name: str) -> tuple[str, str]:
    """Returns the names of the first two axes of a model's input or output."""
    return "batch", SECOND_AXES.get(name, "positions")


def _name_free_axes(value, names: tuple) -> None:
    """Names the free axes of an input or output, which tf2onnx only numbers."""
    for axis, name in zip(value.type.tensor_type.shape.dim, names, strict=False):
        if not axis.HasField("dim_value"):
            axis.dim_param = name


def _write_with_weights(exported, weights: Mapping[str, keras.Variable], path: Path) -> None:
    """Writes a model's file, with the weights in its graph under their Keras names instead of among its inputs.

    What depends on weights alone (the kernels of query, key and value side by side) is computed here once, not in every
    run of the graph.
    """
    import onnx

    graph = exported.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    makers, fixed = {}, set(weights)  # nodes that depend on weights alone, by output; weights and these outputs
    for node in graph.node:
        if fixed.intersection(node.input) and fixed.union(constants).issuperset(node.input):
            makers.update(dict.fromkeys(node.output, node))
            fixed.update(node.output)

    def value_of(name: str) -> np.ndarray:
        if name in weights:
            return keras.ops.convert_to_numpy(weights[name])
        if name in constants:
            return onnx.numpy_helper.to_array(constants[name])
        return _run_node(makers[name], {key: value_of(key) for key in makers[name].input}, exported.opset_import)[name]

    nodes = [node for node in graph.node if node.output[0] not in makers]
    used = dict.fromkeys(name for node in nodes for name in node.input)
    names = {name: weights[name].path if name in weights else name for name in used if name in fixed}

    def tensors() -> Iterator[bytes]:
        """Yields the fixed values, each as a serialized graph that holds it; a serialized graph may be in parts."""
        for name, new_name in names.items():
            tensor = onnx.numpy_helper.from_array(value_of(name), new_name)
            yield onnx.GraphProto(initializer=[tensor]).SerializeToString()

    for node in nodes:
        node.input[:] = [names.get(name, name) for name in node.input]
    rest = onnx.helper.make_graph(
        nodes,
        graph.name,
        [value for value in graph.input if value.name not in weights],
        graph.output,
        [tensor for tensor in graph.initializer if tensor.name in used],
        graph.doc_string,
        [value for value in graph.value_info if value.name in used and value.name not in fixed],
    )
    _write_parts(exported, rest.SerializeToString(), tensors, path)


def _write_parts(exported, rest: bytes, tensors: Callable[[], Iterator[bytes]], path: Path) -> None:
    """Writes a model's file tensor by tensor: the model in one piece would take twice the memory of the weights."""
    size = len(rest) + sum(map(len, tensors()))
    if size > MAX_BYTES:
        raise InputError(
            f"The model is too large for an ONNX file. Expected: at most {MAX_BYTES / 1e9:.2f} GB. "
            f"Received: {size / 1e9:.2f} GB; export it to a SavedModel instead."
        )
    exported.ClearField("graph")
    with path.open("wb") as file:
        file.write(exported.SerializeToString())
        file.write(bytes([GRAPH_FIELD << 3 | 2]) + _varint(size) + rest)
        file.writelines(tensors())


def _quantize(path: Path) -> None:
    """Replaces a file by one with int8 weights, one scale for each column of a kernel."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = onnx.load(str(path))
    # Its advice to optimize the graph first does not apply: what depends on weights alone is computed already.
    model.metadata_props.add(key="onnx.quant.pre_process", value="onnxruntime.quant")
    # Seven bits: sums of two products of eight bits overflow on processors without VNNI, which nothing reports.
    quantize_dynamic(model, path, per_channel=True, reduce_range=True, weight_type=QuantType.QInt8)


def _varint(number: int) -> bytes:
    """Returns a number as protobuf writes lengths: seven bits per byte, the lowest first."""
    return bytes([number & 127 | 128]) + _varint(number >> 7) if number > 127 else bytes([number])


def _run_node(node, inputs: Mapping[str, np.ndarray], opsets) -> dict[str, np.ndarray]:
    """Returns the outputs of one node of a graph by name."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    received, made = ([onnx.ValueInfoProto(name=name) for name in names] for names in (node.input, node.output))
    graph = onnx.helper.make_graph([node], "node", received, made)
    model = onnx.helper.make_model(graph, opset_imports=opsets)
    return dict(zip(node.output, ReferenceEvaluator(model).run(None, dict(inputs)), strict=True))


def open_onnx(path: str | os.PathLike) -> Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]:
    """Returns a function that runs an ONNX file: a dict of inputs (others are ignored) to a dict of outputs."""
    import onnxruntime

    session = onnxruntime.InferenceSession(os.fspath(path), providers=["CPUExecutionProvider"])
    given, names = ([value.name for value in values] for values in (session.get_inputs(), session.get_outputs()))

    def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return dict(zip(names, session.run(names, {name: inputs[name] for name in given}), strict=True))

    return run

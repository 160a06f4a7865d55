"""Checks an exported file: its operators, its weights, and that every runtime runs it.

Each check raises an `ExportError` that names the tensor and, if a runtime is at fault, the runtime.
`comparison` judges the answers of the file, and `proof.prove` does everything.
"""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_lottery.exporters.tflite.conversion.source import Source
from keras_lottery.exporters.tflite.errors import ExportError
from keras_lottery.exporters.tflite.format import flatbuffer, levels
from keras_lottery.exporters.tflite.format.graph import Graph
from keras_lottery.exporters.tflite.rewriting import quantize
from keras_lottery.exporters.tflite.runtimes import defects, interpreter


def check_storage(file: schema.ModelT) -> None:
    """Checks that every runtime reads the sparse weights of a file as they are meant.

    Blocks must divide their axes, among other things: the format has no place for a rest.

    Args:
        file: The `ModelT`.

    Raises:
        ExportError: A weight is stored in a way that some runtime misreads or refuses.
    """
    for subgraph in file.subgraphs:
        graph = Graph(file, subgraph)
        for index, tensor in enumerate(subgraph.tensors):
            if tensor.sparsity is None:
                continue
            for defect in defects.find(graph, index):
                raise ExportError(
                    f"{defect.tensor!r} is stored wrongly for {', '.join(defect.effects)}: "
                    f"{defect.cause}"
                )


def check_operators(file: schema.ModelT) -> None:
    """Checks that a file has built-in operators only.

    Args:
        file: The `ModelT`.

    Raises:
        ExportError: It has a custom operator, such as TensorFlow's `Flex...`, which the runtime of
            an app lacks.
    """
    for subgraph in file.subgraphs:
        graph = Graph(file, subgraph)
        for operator in filter(graph.is_custom, subgraph.operators):
            output = levels.name(subgraph.tensors[operator.outputs[0]])
            raise ExportError(
                f"{output!r} is computed by {graph.name(operator)}, which is not a built-in "
                "operator: LiteRT does not load it."
            )


def check_weights(source: Source, file: schema.ModelT) -> None:
    """Checks that every kernel is zero where its mask says so, and has its rounded value elsewhere.

    Args:
        source: The `Source`. In a kernel without a mask the zeros count as pruned.
        file: The `ModelT` of the file, whose constants carry the names of the kernels.

    Raises:
        ExportError: A kernel is not in the file, a pruned weight is alive there, or another weight
            is further from its value than its type explains.
    """
    dense_file = flatbuffer.read(source.dense_data)
    expected = {levels.name(tensor): tensor for _, _, tensor in flatbuffer.constants(dense_file)}
    found = {levels.name(tensor): place for *place, tensor in flatbuffer.constants(file)}
    for name, kernel in source.kernels.items():
        if name not in source.orders or name not in found:
            if _may_be_missing(kernel, source, found, dense_file):
                continue
            raise ExportError(
                f"{name!r} has pruned weights and is no constant of the file: TensorFlow merges, "
                "computes or drops it. LoRA has to be merged first."
            )
        pruned = kernel == 0
        if name in source.masks:
            pruned &= ~source.masks[name]
        wanted = flatbuffer.values(dense_file, expected[name]).reshape(-1)
        got, rounding = _real_values(file, *found[name])
        alive = np.count_nonzero(got[source.in_file_order(name, pruned)])
        if alive:
            raise ExportError(f"{name!r} has {alive} pruned weights that are alive in the file.")
        off = np.count_nonzero(np.abs(got - wanted) > rounding)
        if off:
            raise ExportError(f"{name!r} has {off} weights of another value in the file.")


def answers(
    data: bytes, inputs: Sequence[np.ndarray], names: Sequence[str] = interpreter.RUNTIMES
) -> dict[str, interpreter.Outputs]:
    """Runs a file in every runtime.

    Args:
        data: The flatbuffer, `bytes`.
        inputs: A list with one array of shape `(examples, ...)` for each input.
        names: The runtimes, as of `interpreter.invoke_apart`.

    Returns:
        `dict`: runtime -> the outputs.

    Raises:
        ExportError: A runtime cannot load or run the file.
    """
    return succeeded(interpreter.invoke_apart(data, inputs, names))


def succeeded(outcomes: Mapping[str, interpreter.Outputs | str]) -> dict[str, interpreter.Outputs]:
    """The outputs in every runtime, if every runtime has some.

    Args:
        outcomes: As `interpreter.invoke_apart` returns them.

    Raises:
        ExportError: A runtime has a reason in place of outputs.
    """
    results = {}
    for runtime, outcome in outcomes.items():
        if isinstance(outcome, str):
            raise ExportError(f"{runtime} cannot run the exported file: {outcome}")
        results[runtime] = outcome
    return results


def check_equal(
    results: Mapping[str, interpreter.Outputs],
    others: Mapping[str, interpreter.Outputs],
    names: Sequence[str],
) -> None:
    """Checks that two files answer the same to the bit.

    Args:
        results: The `answers` of one file.
        others: Those of the other file, in the same runtimes.
        names: The names of the outputs.

    Raises:
        ExportError: An output differs.
    """
    for runtime, result in results.items():
        for name, got, wanted in zip(names, result, others[runtime], strict=True):
            if not np.array_equal(got, wanted):
                raise ExportError(
                    f"The output {name!r} in {runtime} differs from the same integers stored "
                    f"densely in {np.count_nonzero(got != wanted)} of {got.size} values."
                )


def _may_be_missing(
    kernel: np.ndarray, source: Source, found: Collection[str], dense_file: schema.ModelT
) -> bool:
    """Whether a file without a kernel can be right."""
    # The converter may merge a kernel without zeros.
    if kernel.all():
        return True
    unknown = [
        flatbuffer.values(dense_file, tensor)
        for _, _, tensor in flatbuffer.constants(dense_file)
        if levels.size(tensor) == kernel.size
        and len(levels.shape(tensor)) > 1
        and levels.name(tensor) not in source.orders
    ]
    # A constant that matches no kernel may be this kernel with altered values: it counts as lost.
    if any(constant.any() for constant in unknown):
        return False
    # The converter drops a kernel of nothing but zeros. Of equal kernels it keeps one, which is
    # compared. A normalisation that multiplies by zero leaves zeros.
    equal = (source.kernels[name] for name in source.orders if name in found)
    return not kernel.any() or bool(unknown) or any(np.array_equal(kernel, e) for e in equal)


def _real_values(
    file: schema.ModelT, subgraph: schema.SubGraphT, index: int
) -> tuple[np.ndarray, np.ndarray | float]:
    """A constant's values, flat, and how far rounding to its type may have moved each."""
    tensor = subgraph.tensors[index]
    values = flatbuffer.values(file, tensor)
    if tensor.type == schema.TensorType.FLOAT16:
        values = values.astype(np.float32).reshape(-1)
        return values, 2.0**-11 * np.abs(values) + 2.0**-25
    if tensor.type != schema.TensorType.INT8:
        return values.reshape(-1), 0.0
    # A sparse constant has its scales where it is unpacked.
    unpacked = [tensor] + [
        subgraph.tensors[copy] for use in Graph(file, subgraph).uses(index) for copy in use.copies
    ]
    parameters = next(t.quantization for t in unpacked if _has_scale(t))
    real, step = quantize.restored(values, parameters)
    rounding = np.broadcast_to(quantize.HALF_A_STEP * step, values.shape)
    return real.reshape(-1), rounding.reshape(-1)


def _has_scale(tensor: schema.TensorT) -> bool:
    return tensor.quantization is not None and tensor.quantization.scale is not None

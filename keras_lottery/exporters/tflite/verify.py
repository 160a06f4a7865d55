"""The checks of an exported file: its operators, its weights, and what it answers.

Each raises `ExportError` naming the tensor and, where one is at fault, the runtime. `proof.prove`
is all of them.
"""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_lottery.exporters.tflite.errors import ExportError
from keras_lottery.exporters.tflite.format import flatbuffer, levels
from keras_lottery.exporters.tflite.format.graph import Graph
from keras_lottery.exporters.tflite.rewriting import quantize
from keras_lottery.exporters.tflite.runtimes import defects, interpreter


def storage(model):
    """Checks that every runtime reads the sparse weights of a file as they are meant.

    Among others that blocks divide their axes: the format has no place for a rest.

    Args:
        model: The `ModelT`.

    Raises:
        ExportError: A weight is stored in a way that some runtime misreads or refuses.
    """
    for subgraph in model.subgraphs:
        graph = Graph(model, subgraph)
        for index, tensor in enumerate(subgraph.tensors):
            if tensor.sparsity is None:
                continue
            for defect in defects.find(graph, index):
                raise ExportError(
                    f"{defect.tensor!r} is stored wrongly for {', '.join(defect.effects)}: "
                    f"{defect.cause}"
                )


def operators(model):
    """Checks that a file has nothing but built-in operators.

    Args:
        model: The `ModelT`.

    Raises:
        ExportError: It has a custom one, as TensorFlow's `Flex...`, that an app's runtime lacks.
    """
    for subgraph in model.subgraphs:
        graph = Graph(model, subgraph)
        for operator in filter(graph.is_custom, subgraph.operators):
            output = levels.title(subgraph.tensors[operator.outputs[0]])
            raise ExportError(
                f"{output!r} is computed by {graph.name(operator)}, which is not a built-in "
                "operator: LiteRT does not load it."
            )


def weights(origin, model):
    """Reads every kernel back: zero wherever its mask says, and else its value, rounded.

    Args:
        origin: The `source.Source`. Of a kernel without a mask the zeros count as pruned.
        model: The `ModelT` of the file, whose constants carry the names of the kernels.

    Raises:
        ExportError: A kernel is not in the file, a pruned weight of it is alive there, or another
            is further from its value than its type explains.
    """
    dense = flatbuffer.read(origin.dense)
    expected = {levels.title(tensor): tensor for _, _, tensor in flatbuffer.constants(dense)}
    found = {levels.title(tensor): place for *place, tensor in flatbuffer.constants(model)}
    for name, kernel in origin.kernels.items():
        if name not in origin.orders or name not in found:
            if _may_be_missing(kernel, origin, found, dense):
                continue
            raise ExportError(
                f"{name!r} has pruned weights and is no constant of the file: TensorFlow merges, "
                "computes or drops it. LoRA has to be merged first."
            )
        pruned = kernel == 0
        if name in origin.masks:
            pruned &= ~origin.masks[name]
        wanted = flatbuffer.dense(dense, expected[name]).reshape(-1)
        got, rounding = _real_values(model, *found[name])
        alive = np.count_nonzero(got[origin.laid_out(name, pruned)])
        if alive:
            raise ExportError(f"{name!r} has {alive} pruned weights that are alive in the file.")
        off = np.count_nonzero(np.abs(got - wanted) > rounding)
        if off:
            raise ExportError(f"{name!r} has {off} weights of another value in the file.")


def answers(data, inputs, names=interpreter.RUNTIMES):
    """Runs a file in every runtime.

    Args:
        data: The flatbuffer, `bytes`.
        inputs: A list with one array of shape `(examples, ...)` for each input.
        names: The runtimes.

    Returns:
        `dict`: runtime -> a list with one array of shape `(examples, ...)` for each output.

    Raises:
        ExportError: A runtime cannot load or run the file.
    """
    results = interpreter.invoke_apart(data, inputs, names)
    for runtime, result in results.items():
        if isinstance(result, str):
            raise ExportError(f"{runtime} cannot run the exported file: {result}")
    return results


def errors(results, expected, tolerance):
    """Compares what a file answers with what Keras does.

    Args:
        results: What `answers` returned.
        expected: A list with `(name, array of shape (examples, ...))` for each output in Keras.
        tolerance: The largest error allowed, as a fraction of the output's largest value.

    Returns:
        `dict`: runtime -> the largest error of its outputs.

    Raises:
        ExportError: An output has another shape, is not finite, or is further off.
    """
    largest = {}
    for runtime, result in results.items():
        if len(result) != len(expected):
            raise ExportError(
                f"In {runtime} the file has {len(result)} outputs, the model {len(expected)}."
            )
        largest[runtime] = max(
            _error(f"output {name!r} in {runtime}", got, wanted, tolerance)
            for (name, wanted), got in zip(expected, result, strict=True)
        )
    return largest


def classes(results, expected, tolerance):
    """Compares the classes that a file names with those that Keras does.

    Classes that score alike may change places. But one that Keras scores lower than its own by more
    than the tolerance must not win: errors within the tolerance could do that, up to twice of it.

    Args:
        results: What `answers` returned.
        expected: As of `errors`; floats of shape `(examples, classes)` are lists of class scores.
        tolerance: As of `errors`.

    Returns:
        The fraction of examples that get the same class, in the runtime and output where it is
        smallest; `None` where no output is a list of class scores.

    Raises:
        ExportError: A class won that is clearly behind in Keras.
    """
    agreeing = []
    for runtime, result in results.items():
        for (name, wanted), got in zip(expected, result, strict=True):
            if wanted.dtype.kind != "f" or wanted.ndim != 2 or wanted.shape[1] < 2:
                continue
            named = got.argmax(axis=1)
            chosen = np.take_along_axis(wanted, named[:, None], axis=1)[:, 0]
            behind = (wanted.max(axis=1) - chosen) / _scale(wanted)
            worst = behind.argmax()
            if behind[worst] > tolerance:
                raise ExportError(
                    f"The output {name!r} in {runtime} names class {named[worst]} for example "
                    f"{worst}, Keras class {wanted[worst].argmax()}, by {behind[worst]:.2g} of the "
                    f"largest value; {tolerance:.2g} is allowed."
                )
            agreeing.append(float(np.mean(named == wanted.argmax(axis=1))))
    return min(agreeing, default=None)


def lost(results, expected):
    """Finds values of which a file tells nothing, though they are small errors of their output.

    Args:
        results: What `answers` returned.
        expected: As of `errors`; looked at are floats of shape `(examples, values)` that are no
            probabilities.

    Returns:
        A tuple of `(output, position of the value)` of all that are off by half of the range that
        they have in Keras, or more.
    """
    found = []
    for number, (name, wanted) in enumerate(expected):
        if wanted.dtype.kind != "f" or wanted.ndim != 2 or _are_probabilities(wanted):
            continue
        error = np.max([abs(result[number] - wanted) for result in results.values()], axis=(0, 1))
        varies = np.ptp(wanted, axis=0)
        found += [(name, int(i)) for i in np.flatnonzero((error >= varies / 2) & (varies > 0))]
    return tuple(found)


def _are_probabilities(values):
    return values.min() >= 0 and np.allclose(values.sum(axis=1), 1, atol=1e-3)


def equal(results, others, names):
    """Checks that two files answer the same to the bit.

    Args:
        results: What `answers` returned for the one.
        others: The same for the other, in the same runtimes.
        names: The names of the outputs.

    Raises:
        ExportError: An output differs.
    """
    for runtime, result in results.items():
        for name, got, wanted in zip(names, result, others[runtime], strict=True):
            if not np.array_equal(got, wanted):
                raise ExportError(
                    f"The output {name!r} in {runtime} is not that of the same integers stored "
                    f"densely: {np.count_nonzero(got != wanted)} of {got.size} values differ."
                )


def _may_be_missing(kernel, origin, found, dense):
    """Whether a file without a kernel can be right."""
    # The converter may merge one without zeros.
    if kernel.all():
        return True
    unknown = [
        flatbuffer.dense(dense, tensor)
        for _, _, tensor in flatbuffer.constants(dense)
        if levels.size(tensor) == kernel.size
        and len(levels.shape(tensor)) > 1
        and levels.title(tensor) not in origin.orders
    ]
    # What no kernel is may be this one, with other values than its own.
    if any(constant.any() for constant in unknown):
        return False
    # It drops one of nothing but zeros. Of kernels that are equal it keeps one, which is compared.
    # A normalisation that multiplies by zero leaves zeros.
    equal = (origin.kernels[name] for name in origin.orders if name in found)
    return not kernel.any() or bool(unknown) or any(np.array_equal(kernel, e) for e in equal)


def _real_values(model, subgraph, index):
    """A constant's values, flat, and how far rounding to its type may have moved each."""
    tensor = subgraph.tensors[index]
    values = flatbuffer.dense(model, tensor)
    if tensor.type == schema.TensorType.FLOAT16:
        values = values.astype(np.float32).reshape(-1)
        return values, 2.0**-11 * np.abs(values) + 2.0**-25
    if tensor.type != schema.TensorType.INT8:
        return values.reshape(-1), 0.0
    # A sparse constant has its scales where it is unpacked.
    unpacked = [tensor] + [
        subgraph.tensors[copy] for use in Graph(model, subgraph).uses(index) for copy in use.copies
    ]
    parameters = next(t.quantization for t in unpacked if _has_scale(t))
    real, step = quantize.restored(values, parameters)
    rounding = np.broadcast_to(quantize.HALF_A_STEP * step, values.shape)
    return real.reshape(-1), rounding.reshape(-1)


def _has_scale(tensor):
    return tensor.quantization is not None and tensor.quantization.scale is not None


def _scale(wanted):
    """What errors of an output are fractions of: its largest magnitude in Keras."""
    return float(np.abs(wanted).max(initial=0)) or 1.0


def _error(where, got, wanted, tolerance):
    if got.shape != wanted.shape:
        raise ExportError(f"The {where} has shape {got.shape}, in Keras {wanted.shape}.")
    if not np.isfinite(got).all():
        raise ExportError(f"The {where} is not finite.")
    differences = np.abs(got.astype(np.float64) - wanted) / _scale(wanted)
    error = float(differences.max(initial=0))
    if error > tolerance:
        example = np.unravel_index(differences.argmax(), differences.shape)[0]
        raise ExportError(
            f"The {where} is off by {error:.2g} of its largest value in Keras, for example "
            f"{example}; {tolerance:.2g} is allowed."
        )
    return error

"""`invoke(data, inputs, runtime) -> outputs`: runs a TFLite file, in this process or another.

A file that the runtime cannot compute may end the process and not raise. So `invoke_apart` runs a
file that is not trusted yet in another process: this module is also the script of that process, and
therefore imports nothing of its own package.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

# The outputs of a file, one float array `(examples, ...)` for each.
Outputs = list[np.ndarray]

RUNTIMES = ("XNNPACK", "built-in kernels")
MICRO = "TensorFlow Lite Micro"

# Seconds after which a run counts as endless: to load a file, and for each example.
_LOADING_LIMIT = 300.0
_EXAMPLE_LIMIT = 20.0

# Memory for the tensors of a network in TensorFlow Lite Micro, beside what its weights unpack to.
_ARENA = 2**24


def invoke(
    data: bytes, inputs: Sequence[np.ndarray], runtime: str, batch: int | None = None
) -> Outputs:
    """Runs a TFLite file on examples, as many at a time as its batch has.

    Args:
        data: The flatbuffer, `bytes`.
        inputs: One array of shape `(examples, ...)` for each input of the file, real values.
        runtime: `"XNNPACK"`, what an app gets by default, `"built-in kernels"`, or `MICRO`.
        batch: The number of examples to resize the file to; by default its own.

    Returns:
        A list with one float array of shape `(examples, ...)` for each output, real values.

    Raises:
        RuntimeError, ValueError: The runtime cannot load or run the file.
    """
    if runtime == MICRO:
        return _invoke_micro(data, inputs)
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    resolver = {
        "XNNPACK": OpResolverType.AUTO,
        "built-in kernels": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    }[runtime]
    interpreter = Interpreter(
        model_content=data, experimental_op_resolver_type=resolver, num_threads=1
    )
    if batch is not None:
        for detail in interpreter.get_input_details():
            interpreter.resize_tensor_input(detail["index"], (batch, *detail["shape"][1:]))
    interpreter.allocate_tensors()
    outputs, details = [], interpreter.get_input_details()
    for arrays in _batches(inputs, [detail["shape"] for detail in details]):
        for detail, array in zip(details, arrays, strict=True):
            interpreter.set_tensor(
                detail["index"], stored(array, detail["dtype"], *detail["quantization"])
            )
        interpreter.invoke()
        outputs.append(
            [
                real(interpreter.get_tensor(detail["index"]), *detail["quantization"])
                for detail in interpreter.get_output_details()
            ]
        )
    return _joined(outputs, len(inputs[0]))


def _invoke_micro(data: bytes, inputs: Sequence[np.ndarray]) -> Outputs:
    from tflite_micro.python.tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(data, arena_size=_ARENA + 20 * len(data))
    outputs, details = [], [interpreter.get_input_details(i) for i in range(len(inputs))]
    for arrays in _batches(inputs, [detail["shape"] for detail in details]):
        for index, (detail, array) in enumerate(zip(details, arrays, strict=True)):
            interpreter.set_input(stored(array, detail["dtype"], *_scale(detail)), index)
        interpreter.invoke()
        outputs.append(_micro_outputs(interpreter))
    return _joined(outputs, len(inputs[0]))


def _batches(
    inputs: Sequence[np.ndarray], shapes: Sequence[Sequence[int]]
) -> Iterator[list[np.ndarray]]:
    """Yields the inputs of one run after the other; the last example fills the last batch up."""
    count, size = len(inputs[0]), max([int(shape[0]) for shape in shapes if len(shape)] or [1])
    for start in range(0, count, size):
        chosen = np.minimum(np.arange(start, start + size), count - 1)
        yield [array[chosen] for array in inputs]


def _joined(outputs: Sequence[Sequence[np.ndarray]], count: int) -> Outputs:
    """The outputs of all runs, without those that only filled the last batch up."""
    joined: Outputs = [np.concatenate(each) for each in zip(*outputs, strict=True)]
    return [array[:count] if len(array) >= count else array for array in joined]


def _micro_outputs(interpreter: Any) -> Outputs:
    outputs: Outputs = []
    while True:
        try:
            detail = interpreter.get_output_details(len(outputs))
        except IndexError:
            return outputs
        value = interpreter.get_output(len(outputs))
        outputs.append(real(value, *_scale(detail)))


def _scale(detail: dict[str, Any]) -> tuple[float, int]:
    parameters = detail["quantization_parameters"]
    if not len(parameters["scales"]):
        return 0.0, 0
    return float(parameters["scales"][0]), int(parameters["zero_points"][0])


def invoke_apart(
    data: bytes, inputs: Sequence[np.ndarray], names: Sequence[str] = RUNTIMES
) -> dict[str, Outputs | str]:
    """Runs a TFLite file on the same examples in several runtimes, in a process of its own.

    Args:
        data: The flatbuffer, `bytes`.
        inputs: As of `invoke`.
        names: The runtimes; `"XNNPACK@3"` is the first three examples at once, in XNNPACK.

    Returns:
        `dict`: runtime -> the list of its outputs, as of `invoke`, or a `str` that says why there
        are none.
    """
    limit = len(names) * (_LOADING_LIMIT + _EXAMPLE_LIMIT * len(inputs[0]))
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "model.tflite").write_bytes(data)
        np.savez(Path(folder, "inputs.npz"), *inputs)
        # -P keeps this package's modules from shadowing the standard library's.
        end = _end([sys.executable, "-P", __file__, folder, *names], limit)
        return {name: _result(Path(folder), name, end) for name in names}


def _end(command: Sequence[str], limit: float) -> str:
    """Runs a process and says how it ended, in case it wrote no result."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return f"it did not finish in {limit:.0f} s"
    if done.returncode < 0:
        return f"the process ended with signal {-done.returncode}"
    return done.stderr.strip()[-500:] or f"the process ended with status {done.returncode}"


def _result(folder: Path, runtime: str, end: str) -> Outputs | str:
    outputs, reason = folder / f"{runtime}.npz", folder / f"{runtime}.txt"
    if outputs.exists():
        with np.load(outputs) as arrays:
            return [arrays[name] for name in arrays.files]
    return reason.read_text() if reason.exists() else end


def stored(array: np.ndarray, dtype: type, scale: float, zero_point: int) -> np.ndarray:
    """Real values as a tensor of a type stores them; a scale of zero means that it has no scale."""
    if scale and np.issubdtype(dtype, np.integer):
        limits = np.iinfo(dtype)
        array = np.clip(np.round(array / scale) + zero_point, limits.min, limits.max)
    return array.astype(dtype)


def real(array: np.ndarray, scale: float, zero_point: int) -> np.ndarray:
    """The real values that stored ones stand for; a scale of zero means that there is no scale."""
    array = np.atleast_1d(array)
    if scale and np.issubdtype(array.dtype, np.integer):
        return ((array.astype(np.float32) - zero_point) * scale).astype(np.float32)
    return array


def _main(path: str, *names: str) -> None:
    folder = Path(path)
    with np.load(folder / "inputs.npz") as arrays:
        inputs = [arrays[name] for name in arrays.files]
    for name in names:
        runtime, _, size = name.partition("@")
        batch = int(size) if size else None
        try:
            data = (folder / "model.tflite").read_bytes()
            outputs = invoke(data, [array[:batch] for array in inputs], runtime, batch)
        except Exception as error:  # whatever it is, it is what the caller wants to know
            (folder / f"{name}.txt").write_text(f"{type(error).__name__}: {error}")
        else:
            np.savez(folder / f"{name}.npz", *outputs)


if __name__ == "__main__":
    _main(*sys.argv[1:])

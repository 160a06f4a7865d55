"""`run(file, inputs) -> outputs`: the answers of any `.tflite` file in LiteRT."""

from collections.abc import Sequence
from os import PathLike

import numpy as np

from keras_lottery.exporters.tflite.inspection import bytes_of
from keras_lottery.exporters.tflite.runtimes import interpreter


def run(
    file: str | PathLike | bytes,
    inputs: np.ndarray | Sequence[np.ndarray],
    *,
    runtime: str = interpreter.RUNTIMES[0],
) -> list[np.ndarray]:
    """Runs a `.tflite` file on examples, in a process of its own, on one thread.

    A file that the runtime cannot compute may end the process that runs it; this one goes on.

    Args:
        file: The path of the file, or its bytes, whoever made it.
        inputs: The examples: an array `(examples, ...)` of real values, or a list with one array
            for each input of the file. As many run at a time as the file takes at once.
        runtime: `"XNNPACK"`, which an app gets by default, or `"built-in kernels"`.

    Returns:
        A list with one array `(examples, ...)` of real values for each output of the file.

    Raises:
        RuntimeError: The runtime cannot load or run the file, or not on these inputs.
        OSError: The file cannot be read.
        ValueError: There is no such runtime.

    Example:

    >>> import keras, pathlib, tempfile
    >>> from keras_lottery.exporters import tflite
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    >>> path = pathlib.Path(tempfile.mkdtemp(), "m.tflite")
    >>> _ = tflite.export(model, path)
    >>> [scores] = tflite.run(path, np.ones((5, 4)))
    >>> scores.shape
    (5, 3)
    """
    if runtime not in interpreter.RUNTIMES:
        known = " or ".join(map(repr, interpreter.RUNTIMES))
        raise ValueError(f"`runtime` is {runtime!r}; it must be {known}.")
    arrays = [inputs] if isinstance(inputs, np.ndarray) else list(inputs)
    outcome = interpreter.invoke_apart(bytes_of(file), arrays, [runtime])[runtime]
    if isinstance(outcome, str):
        raise RuntimeError(f"{runtime} cannot run the file: {outcome}")
    return outcome

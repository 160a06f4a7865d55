"""Pruned Keras models as sparse TFLite files that are proven equal.

- `export(model, path) -> Report` writes a file and proves it; its docstring lists the targets.
- `preflight(model) -> Preflight` says before training which pruning would pay.
- `symmetric(layer)` makes a strided convolution as XNNPACK's sparse path needs it.
- `inspect(file) -> Report` reads any `.tflite` file, whoever made it.
- `measure(files) -> [Measurement]` times any files and takes their memory, side by side.
- `run(file, inputs) -> [outputs]` gives the answers of any file.

An export goes through the folders in this order: `conversion` turns the Keras model into a dense
file, `targets` choose a form for every weight, `rewriting` puts it in, `format` writes the file,
and `proof` runs it in the `runtimes`. `report` and `inspection` say what came out.
"""

from importlib import util

if missing := [name for name in ("ai_edge_litert", "flatbuffers") if util.find_spec(name) is None]:
    raise ImportError(
        f"The TFLite exporter needs {' and '.join(missing)}: pip install 'keras_lottery[tflite]'."
    )

from keras_lottery.exporters.tflite.errors import ExportError, FlatbufferError
from keras_lottery.exporters.tflite.export import export
from keras_lottery.exporters.tflite.padding import symmetric
from keras_lottery.exporters.tflite.preflight import Preflight, preflight
from keras_lottery.exporters.tflite.report import Report, inspect
from keras_lottery.exporters.tflite.run import run
from keras_lottery.exporters.tflite.runtimes.measure import Measurement, measure

__all__ = [
    "ExportError",
    "FlatbufferError",
    "Measurement",
    "Preflight",
    "Report",
    "export",
    "inspect",
    "measure",
    "preflight",
    "run",
    "symmetric",
]


def __dir__() -> list[str]:
    """The public names, and none of the modules behind them."""
    return sorted(__all__)

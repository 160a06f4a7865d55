"""Pruned Keras models as sparse TFLite files that are proven equal.

`export(model, path) -> Report` writes one; see its docstring for the targets. `preflight(model)`
says before training what which pruning would pay, `symmetric(layer)` makes a strided convolution
as XNNPACK's sparse path needs it, and `inspect(file)` reads any, whoever wrote it.
"""

from importlib import util

if missing := [name for name in ("ai_edge_litert", "flatbuffers") if util.find_spec(name) is None]:
    raise ImportError(
        f"The TFLite exporter needs {' and '.join(missing)}: pip install 'keras_lottery[tflite]'."
    )

from keras_lottery.exporters.tflite.bounds import FlatbufferError
from keras_lottery.exporters.tflite.errors import ExportError
from keras_lottery.exporters.tflite.export import export
from keras_lottery.exporters.tflite.inspection import inspect
from keras_lottery.exporters.tflite.padding import symmetric
from keras_lottery.exporters.tflite.preflight import preflight

__all__ = ["ExportError", "FlatbufferError", "export", "inspect", "preflight", "symmetric"]

"""Pruned Keras models as sparse TFLite files that are proven equal.

`export(model, path) -> Report` writes one; see its docstring for the targets. `preflight(model)`
says before training what which pruning would pay, `symmetric(layer)` makes a strided convolution
as XNNPACK's sparse path needs it, and `inspect(file)` reads any, whoever wrote it.

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
from keras_lottery.exporters.tflite.inspection import inspect
from keras_lottery.exporters.tflite.padding import symmetric
from keras_lottery.exporters.tflite.preflight import preflight

__all__ = ["ExportError", "FlatbufferError", "export", "inspect", "preflight", "symmetric"]

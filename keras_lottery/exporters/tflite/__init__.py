"""Pruned Keras models as sparse TFLite files that are proven equal.

`export(model, path) -> Report` writes one; see its docstring for the targets. `inspect(data)` reads
any, also one that this package did not write.
"""

from keras_lottery.exporters.tflite.errors import ExportError
from keras_lottery.exporters.tflite.export import export
from keras_lottery.exporters.tflite.inspection import inspect

__all__ = ["ExportError", "export", "inspect"]

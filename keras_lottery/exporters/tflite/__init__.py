"""Pruned Keras models as sparse TFLite files that are proven equal.

`export(model, path) -> Report` writes one; see its docstring for the targets.
"""

from keras_lottery.exporters.tflite.errors import ExportError
from keras_lottery.exporters.tflite.export import export

__all__ = ["ExportError", "export"]

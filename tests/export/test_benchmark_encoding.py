"""The benchmark's model is one that the runtime knows, and its numbers are of that model."""

import numpy as np

from export import benchmark_encoding
from keras_lottery.exporters.tflite.runtimes import interpreter
from keras_lottery.exporters.tflite.targets import size


def test_a_small_model_is_encoded_and_computes_the_same():
    data = benchmark_encoding.dense_file(0.9, (40, 50, 60))
    x = np.ones((1, 40), np.float32)
    [result] = interpreter.invoke(data, [x], "built-in kernels")
    assert result.shape == (1, 60)
    seconds, peak, encoded = benchmark_encoding.measure(size.encode, "float32", data)
    assert seconds > 0 and peak > 0 and encoded < len(data)

"""Times the encoding of a large model, and the memory it takes beyond the model itself.

  python -m export.benchmark_encoding
  python -m export.benchmark_encoding --sparsity=0.5

The model has three Dense kernels, 25 million weights in all. The time is that of the exporter's own
pass over the flatbuffer, without TensorFlow's conversion before it and the proof after it.
"""

import itertools
import time
import tracemalloc

import numpy as np
from absl import app, flags

from keras_lottery.commands import script

FLAGS = flags.FLAGS

_WIDTHS = (2048, 2048, 4096, 3072)


def dense_file(sparsity, widths=_WIDTHS):
    """Make a flatbuffer of Dense layers with random weights, a fraction of them zero."""
    from ai_edge_litert import schema_py_generated as schema

    from keras_lottery.exporters.tflite.format import edit, flatbuffer

    rng = np.random.default_rng(0)
    kind, builtin = schema.TensorType.FLOAT32, schema.BuiltinOperator.FULLY_CONNECTED
    model, subgraph = schema.ModelT(), schema.SubGraphT()
    model.version, model.subgraphs = 3, [subgraph]
    model.operatorCodes, model.buffers = [], [schema.BufferT()]
    subgraph.tensors, subgraph.operators = [], []
    source = edit.add_tensor(model, subgraph, (1, widths[0]), kind)
    subgraph.inputs = np.array([source], np.int32)
    for inputs, outputs in itertools.pairwise(widths):
        kernel = rng.standard_normal((outputs, inputs), np.float32)
        kernel[rng.random(kernel.shape, np.float32) < sparsity] = 0
        weight = edit.add_tensor(model, subgraph, kernel.shape, kind, kernel)
        target = edit.add_tensor(model, subgraph, (1, outputs), kind)
        options = schema.FullyConnectedOptionsT()
        operator = edit.operator(model, builtin, [source, weight], [target], options=options)
        subgraph.operators.append(operator)
        source = target
    subgraph.outputs = np.array([source], np.int32)
    return flatbuffer.write(model)


def measure(encode, precision, data):
    """Measure one encoding of a file: `(seconds, peak bytes allocated, bytes of the result)`."""
    from keras_lottery.exporters.tflite.format import flatbuffer

    def run():
        model = flatbuffer.read(data)
        encode(model, precision)
        return len(flatbuffer.write(model))

    start = time.perf_counter()
    encoded = run()
    seconds = time.perf_counter() - start
    tracemalloc.start()
    run()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return seconds, peak, encoded


def main(argv):
    """Prints one row for each target and precision."""
    script.refuse_arguments(argv)
    from keras_lottery.exporters import tables
    from keras_lottery.exporters.tflite.targets import latency, size

    data = dense_file(FLAGS.sparsity)
    rows = []
    for target, encode in (("size", size.encode), ("latency", latency.encode)):
        for precision in ("float32", "float16", "int8"):
            seconds, peak, encoded = measure(encode, precision, data)
            memory = f"{peak / len(data):.1f} x"
            rows.append((target, precision, f"{seconds:.1f}", memory, tables.number(encoded)))
    print(f"{tables.number(len(data))} bytes, {FLAGS.sparsity:.0%} zeros\n")
    print(tables.text(("target", "precision", "seconds", "memory", "bytes"), rows))


if __name__ == "__main__":
    flags.DEFINE_float(
        "sparsity",
        0.95,
        "Fraction of each kernel's weights that is zero.",
        lower_bound=0,
        upper_bound=1,
    )
    app.run(main)

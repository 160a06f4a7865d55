"""`sentences(inspection) -> [str]`: what to expect of a file in the runtimes."""

from keras_lottery.exporters.tflite import stored_weight
from keras_lottery.exporters.tflite.inspection import Inspection
from keras_lottery.exporters.tflite.runtimes import xnnpack
from keras_lottery.exporters.tflite.targets import latency

# For each way of computing, what to expect of its weights and in which runtimes. The factors are
# this project's measurements on one x86 machine and one thread; `benchmark_tflite` repeats them.
_EXPECT = {
    stored_weight.DENSE: "stored and computed densely.",
    stored_weight.UNPACKED: (
        "smaller on disk only. XNNPACK, the default, unpacks them once, when it loads the file. "
        "Then it is no faster than with dense weights; loading takes a little more memory and time."
    ),
    stored_weight.SPARSE: (
        "computed sparsely by the built-in kernels, also beside XNNPACK. They are never unpacked, "
        "which saves memory. They are estimated to be faster than XNNPACK's dense float kernels, "
        "for one example at a time on x86 and layers of thousands of weights, from "
        f"{latency.pays_from(4):.0%} zeros in blocks of four, and from {latency.pays_from(1):.0%} "
        "without blocks. Measure where the file will run."
    ),
    stored_weight.SPARSE_WITHOUT_AVX: (
        f"1x1 convolutions that XNNPACK computes sparsely on {xnnpack.CPU_NEEDED}. Elsewhere, as "
        "on most PCs, they are unpacked and no faster."
    ),
    stored_weight.DECODED: (
        "smaller in flash. TensorFlow Lite Micro decodes them at every run, which takes longer."
    ),
    stored_weight.MISREAD: "WRONG: nothing in the file unpacks them; see the defects.",
}

# DEQUANTIZE keeps its result only where its input is a constant, which a DENSIFY's output is not.
_AT_EVERY_RUN = (
    "Without XNNPACK the built-in kernels dequantize {count} of {all} weights anew at every run. "
    "On x86 that was measured 18 times slower than dense float32 for float16 weights, 2.4 times "
    "for int8. For a runtime without XNNPACK export with precision='float32'."
)


def sentences(inspected: Inspection) -> list[str]:
    """What to expect of the runtimes: a paragraph for each way in which they compute weights."""
    told = []
    for computed, expected in _EXPECT.items():
        found = [w for w in inspected.weights if w.computed == computed]
        if found:
            told.append(f"{len(found)} of {len(inspected.weights)} weights: {expected}")
    anew = sum(w.dequantized for w in inspected.weights)
    if anew:
        told.append(_AT_EVERY_RUN.format(count=anew, all=len(inspected.weights)))
    ways = {w.computed for w in inspected.weights}
    if "DENSIFY" in inspected.operators:
        told.append("Not for TensorFlow Lite Micro: it lacks DENSIFY, and does not load this.")
    elif ways & {stored_weight.SPARSE, stored_weight.MISREAD}:
        told.append("Not for TensorFlow Lite Micro: it ignores sparsity, and would be wrong.")
    return told

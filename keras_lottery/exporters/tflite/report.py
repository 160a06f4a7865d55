"""The report on a `.tflite` file: what it costs, what is computed how, and what was proven."""

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from keras_lottery.exporters.tflite import stored_weight, tables
from keras_lottery.exporters.tflite.format.names import printable
from keras_lottery.exporters.tflite.inspection import Inspection, gzipped, inspect
from keras_lottery.exporters.tflite.proof import Proof
from keras_lottery.exporters.tflite.runtimes import xnnpack
from keras_lottery.exporters.tflite.runtimes.interpreter import MICRO
from keras_lottery.exporters.tflite.runtimes.measure import Measurement
from keras_lottery.exporters.tflite.targets import latency

# What a user may expect of the weights that are computed in one way, and of which runtime that is
# true. The factors are this project's measurements on one x86 machine and one thread;
# `benchmark_tflite` repeats them on yours.
_EXPECT = {
    stored_weight.DENSE: "stored and computed densely.",
    stored_weight.UNPACKED: (
        "smaller on disk only. XNNPACK, the default, unpacks them once, when it loads the file, "
        "and then is no faster than with dense ones; it takes a little more memory and time to "
        "load."
    ),
    stored_weight.SPARSE: (
        "computed sparsely by the built-in kernels, also beside XNNPACK, and never unpacked, so in "
        "less memory. In time, one example at a time on x86, that is estimated to pay against "
        f"XNNPACK's dense float kernels from {latency.pays_from(4):.0%} zeros in blocks of four, "
        f"from {latency.pays_from(1):.0%} without, where layers have thousands of weights. Measure "
        "it where it will run."
    ),
    stored_weight.SPARSE_WITHOUT_AVX: (
        "1x1 convolutions that XNNPACK computes sparsely, if it runs on "
        f"{xnnpack.CPU_NEEDED}; elsewhere, as on most PCs, they are unpacked and no faster."
    ),
    stored_weight.DECODED: (
        "smaller in flash. TensorFlow Lite Micro decodes them at every run, which takes longer."
    ),
    stored_weight.MISREAD: "WRONG: nothing in the file unpacks them; see the defects.",
}

# DEQUANTIZE keeps its result only where its input is a constant, which a DENSIFY's output is not.
_AT_EVERY_RUN = (
    "Without XNNPACK the built-in kernels dequantize {count} of {all} weights anew at every run: "
    "on x86 18 times slower than dense float32 was measured for float16 weights, 2.4 times for "
    "int8. "
    "Where XNNPACK is not built in, export with precision='float32'."
)

# Why an export did not choose how to store a weight.
_LEFT_DENSE = "left dense, as not every operator that reads it takes weights that were unpacked"

_UNPACKED = (stored_weight.UNPACKED, stored_weight.SPARSE_WITHOUT_AVX)
_DEQUANTIZED = ("float16", "int8")

_UNMEASURED = "Not measured: pass measure=True to export(), or --measure on the command line."


@dataclass(frozen=True)
class Size:
    """Bytes of a file, and of the same file after gzip; see `inspection.gzipped`."""

    raw: int
    gzipped: int


@dataclass(frozen=True)
class Report:
    """What is known of a `.tflite` file. `str()` of it is a table for the terminal.

    Attributes:
        path: The file.
        inspection: What was read from it.
        target: What the export aimed at; empty for a file from elsewhere.
        precision: How its weights were asked to be stored.
        dense: The same model as a dense float32 file.
        dense_int8: The same model with dense int8 weights; for a file that computes in int8, one
            that does so too.
        reasons: Weight to why it is stored as it is.
        proof: What was found when it was compared with its Keras model.
        measurements: What was measured on this machine.
        notes: What else the user should know.
    """

    path: str
    inspection: Inspection
    target: str = ""
    precision: str = ""
    dense_size: Size | None = None
    dense_int8_size: Size | None = None
    reasons: Mapping[str, str] = field(default_factory=dict)
    proof: Proof | None = None
    measurements: Sequence[Measurement] = ()
    notes: Sequence[str] = ()

    def __str__(self):
        return _render(self, tables.text, "", str)

    def markdown(self) -> str:
        """The report as Markdown."""
        return _render(self, tables.markdown, "## ", tables.escaped)

    def json(self) -> str:
        """The report as JSON, every attribute and the totals that its tables show."""
        content = dataclasses.asdict(self)
        inspected = self.inspection
        content["inspection"] |= {
            "sparsity": inspected.sparsity,
            "unknown": inspected.unknown,
            "entropy_bytes": inspected.entropy_bytes,
            "dense_bytes": inspected.dense_bytes,
        }
        if inspected.sparse_path is not None:
            content["inspection"]["sparse_path"]["taken"] = inspected.sparse_path.taken
        content["expectations"] = expectations(inspected)
        return json.dumps(content, indent=2)

    def measured(self, measurements: Sequence[Measurement]) -> "Report":
        """The same report with measurements of this machine."""
        return dataclasses.replace(self, measurements=tuple(measurements))


def build(
    data: bytes,
    *,
    path: str = "",
    target: str = "",
    precision: str = "",
    dense: bytes | None = None,
    dense_int8: bytes | None = None,
    reasons: Mapping[str, str] | None = None,
    proof: Proof | None = None,
    notes: Sequence[str] = (),
) -> Report:
    """Reports on the bytes of a `.tflite` file.

    Args:
        data: The file's bytes.
        path: Where they are.
        target: What an export aimed at.
        precision: How its weights were asked to be stored.
        dense: The bytes of the same model as a dense float32 file.
        dense_int8: The bytes of the same model with dense int8 weights.
        reasons: Weight to why it is stored as it is, for those that the export chose a form for.
        proof: What was found when it was compared with its Keras model.
        notes: What else the user should know.

    Returns:
        A `Report` without measurements; see `Report.measured`.

    Raises:
        FlatbufferError: The bytes are no such file, or a damaged one.
    """
    inspected = inspect(data)
    if reasons is not None:
        reasons = {found.name: _LEFT_DENSE for found in inspected.weights} | dict(reasons)
    return Report(
        path=str(path),
        inspection=inspected,
        target=target,
        precision=precision,
        dense=None if dense is None else size(dense),
        dense_int8=None if dense_int8 is None else size(dense_int8),
        reasons=reasons or {},
        proof=proof,
        notes=tuple(notes),
    )


def size(data: bytes) -> Size:
    """The size of a file's bytes, raw and gzipped."""
    return Size(len(data), gzipped(data))


def expectations(inspected: Inspection) -> list[str]:
    """What the runtimes make of the weights: a paragraph for each way in which they compute."""
    sentences = []
    for computed, expected in _EXPECT.items():
        found = [w for w in inspected.weights if w.computed == computed]
        if found:
            sentences.append(f"{len(found)} of {len(inspected.weights)} weights: {expected}")
    anew = [w for w in inspected.weights if w.computed in _UNPACKED and w.dtype in _DEQUANTIZED]
    if anew and {"DENSIFY", "DEQUANTIZE"} <= set(inspected.operators):
        sentences.append(_AT_EVERY_RUN.format(count=len(anew), all=len(inspected.weights)))
    computed = {w.computed for w in inspected.weights}
    if "DENSIFY" in inspected.operators:
        sentences.append("Not for TensorFlow Lite Micro: it lacks DENSIFY, and does not load this.")
    elif computed & {stored_weight.SPARSE, stored_weight.MISREAD}:
        sentences.append("Not for TensorFlow Lite Micro: it ignores sparsity, and would be wrong.")
    return sentences


def _render(report, table, heading, words):
    """The report; `words` makes what is no table fit for where it is shown."""
    inspected = report.inspection
    reasons = [f"{printable(name)}: {why}" for name, why in report.reasons.items()]
    sections = [
        ("Size", table(("", "bytes", "gzipped", "of dense"), _size_rows(report))),
        ("Weights", table(*_weight_table(report))),
        ("Why stored so", words("\n".join(f"- {reason}" for reason in reasons))),
        ("What the runtime does", words("\n".join(f"- {s}" for s in expectations(inspected)))),
        ("XNNPACK's sparse 1x1 convolutions", words(_sparse_path(inspected.sparse_path))),
        ("Defects", words(_defects(inspected.defects))),
        ("Proof", _proof(report)),
        ("Measured on this machine", _measured(report, table)),
        ("Notes", words("\n".join(f"- {note}" for note in report.notes))),
    ]
    parts = [f"{heading}{name}\n\n{body}" for name, body in sections if body]
    return "\n\n".join([words(_title(report)), *parts]) + "\n"


def _title(report):
    inspected = report.inspection
    asked = ", ".join(part for part in (report.target, report.precision) if part)
    count = len(inspected.weights) - inspected.unknown
    unknown = f"; {inspected.unknown} more of types unknown to it" if inspected.unknown else ""
    return (
        f"{printable(report.path) or 'This file'}{f' ({asked})' if asked else ''}: "
        f"{inspected.sparsity:.1%} of the values in {count} weights are zero{unknown}"
    )


def _size_rows(report):
    inspected = report.inspection
    rows = [("this file", inspected.file_bytes, inspected.gzip_bytes)]
    if report.dense_size is not None:
        rows.append(("dense float32", report.dense_size.raw, report.dense_size.gzipped))
    if report.dense_int8_size is not None:
        rows.append(("dense int8", report.dense_int8_size.raw, report.dense_int8_size.gzipped))
    if report.dense_size is None:
        rows.append(("stored densely, about", inspected.dense_bytes, None))
    rows.append(("entropy bound of its constants", inspected.entropy_bytes, None))
    whole = report.dense_size.raw if report.dense_size is not None else inspected.dense_bytes
    return [
        (
            name,
            tables.number(raw),
            "" if gzipped is None else tables.number(gzipped),
            f"{raw / max(whole, 1):.1%}",
        )
        for name, raw, gzipped in rows
    ]


def _weight_table(report):
    # An export is compared with the float32 model that it came from, another file with itself.
    exported = report.dense_size is not None
    header = ["weight", "shape", "zeros", "type", "stored as", "bytes"]
    header += ["before" if exported else "dense", "bound", "RAM", "computed"]
    rows = [
        [
            # The converter joins the names of what it merged into one operator.
            found.name.split(";")[0],
            "x".join(map(str, found.shape)),
            "unknown" if found.sparsity is None else f"{found.sparsity:.1%}",
            found.dtype,
            found.encoding,
            tables.number(found.stored_bytes),
            tables.number(4 * math.prod(found.shape) if exported else found.dense_bytes),
            tables.number(found.entropy_bytes),
            tables.number(found.memory),
            found.computed,
        ]
        for found in report.inspection.weights
    ]
    return header, rows


def _sparse_path(path):
    if path is None:
        return ""
    if path.taken:
        return (
            f"Every condition on the file holds: {len(path.weights)} convolutions with "
            f"{path.zeros:.1%} zeros. They are computed sparsely on {xnnpack.CPU_NEEDED}."
        )
    failures = [*path.structure, *path.storage]
    return "Not taken, anywhere:\n" + "\n".join(f"- {failure}" for failure in failures)


def _defects(found):
    """One item for each cause, with all the weights that have it."""
    lines = []
    for cause in dict.fromkeys(defect.cause for defect in found):
        alike = [defect for defect in found if defect.cause == cause]
        names = ", ".join(defect.tensor.split(";")[0] for defect in alike)
        lines.append(f"- {alike[0].kind}: {cause}")
        lines.append(f"  - in {names}")
        lines += [f"  - {runtime}: {effect}" for runtime, effect in alike[0].effects.items()]
    return "\n".join(lines)


def _proof(report):
    proof = report.proof
    if proof is None:
        return ""
    # LiteRT lacks the operator that decodes them.
    decoded = ", with the bitmasks decoded" if report.target == "micro" else ""
    lines = [
        f"- {runtime}{'' if runtime == MICRO else decoded}: differs from Keras by {error:.1g} of "
        "the largest output at most"
        for runtime, error in proof.errors.items()
    ]
    if proof.exact:
        lines.append("- to the bit what the same integers give when stored densely")
    if proof.agreement is not None:
        lines.append(
            f"- in {proof.agreement:.1%} of the compared predictions the same channel is the "
            "largest: the class, if these are scores"
        )
    if proof.channel_error:
        lines.append(
            f"- a channel is off by {proof.channel_error:.1%} of its own range in Keras at most"
        )
    return "\n".join(lines)


def _measured(report, table):
    if not report.measurements:
        return _UNMEASURED
    header = ("file", "runtime", "median us", "10 % to 90 %", "memory", "load ms", "")
    return table(header, [measurement.row() for measurement in report.measurements])

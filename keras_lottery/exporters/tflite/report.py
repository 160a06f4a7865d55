"""The report on a `.tflite` file: its bytes, how it is computed, and its proof."""

import dataclasses
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

from keras_lottery.exporters import tables
from keras_lottery.exporters.tables import printable
from keras_lottery.exporters.tflite import expectations
from keras_lottery.exporters.tflite.inspection import Inspection, bytes_of, gzipped, read
from keras_lottery.exporters.tflite.proof import Proof
from keras_lottery.exporters.tflite.runtimes import xnnpack
from keras_lottery.exporters.tflite.runtimes.defects import Defect
from keras_lottery.exporters.tflite.runtimes.interpreter import MICRO
from keras_lottery.exporters.tflite.runtimes.measure import Measurement
from keras_lottery.masks.shrink import ShrinkReport

# The reason for a weight for which an export chose no form.
_LEFT_DENSE = "left dense: not every operator that reads it can read unpacked weights"

_UNMEASURED = "Not measured: pass measure=True to export(), or --measure on the command line."


@dataclass(frozen=True)
class Size:
    """Bytes of a file, and of the same file after gzip at its default level."""

    raw: int
    gzipped: int


@dataclass(frozen=True)
class Report:
    """What is known of a `.tflite` file.

    `print` it for a table, or take `to_markdown()`, `to_json()` or `as_dict()`. A file that this
    package did not export has a `path` and an `inspection` only.

    Attributes:
        path: The path of the file; empty if only its bytes were given.
        inspection: The contents of the file: bytes, weights, operators, defects.
        target: The target of the export.
        precision: The lowest precision that the export allowed for weights.
        dense_size: The size of the same model as a dense float32 file.
        dense_int8_size: The size of the same model with dense int8 weights. If the file computes in
            int8, so does this one.
        reasons: Weight -> why the weight is stored as it is.
        proof: The comparison with the Keras model.
        measurements: Time and memory on this machine, if they were measured.
        notes: Sentences that the user should read.
        shrunk: What went with the dead units, if the export removed them. All sizes are of the
            network without them.
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
    shrunk: ShrinkReport | None = None

    def __str__(self) -> str:
        return _render(self, tables.text, "", str)

    def to_markdown(self) -> str:
        """The report as Markdown."""
        return _render(self, tables.markdown, "## ", tables.escaped)

    def to_json(self) -> str:
        """The report as JSON; see `as_dict`."""
        return json.dumps(self.as_dict(), indent=2)

    def as_dict(self) -> dict[str, Any]:
        """The report as plain values: every attribute, and the totals that its tables show."""
        inspected = self.inspection
        # `asdict` takes its time, and there may be very many weights, of plain values only.
        without_weights = dataclasses.replace(inspected, weights=())
        content = dataclasses.asdict(dataclasses.replace(self, inspection=without_weights))
        content["inspection"] |= {
            "weights": tuple(dict(vars(weight)) for weight in inspected.weights),
            "sparsity": inspected.sparsity,
            "unknown": inspected.unknown,
            "entropy_bytes": inspected.entropy_bytes,
            "dense_bytes": inspected.dense_bytes,
        }
        if inspected.sparse_path is not None:
            content["inspection"]["sparse_path"]["taken"] = inspected.sparse_path.taken
        content["expectations"] = expectations.sentences(inspected)
        return content

    def measured(self, measurements: Sequence[Measurement]) -> "Report":
        """The same report with other measurements, as `measure` returns them."""
        return dataclasses.replace(self, measurements=tuple(measurements))


def inspect(file: str | PathLike | bytes) -> Report:
    """Reports on a `.tflite` file, whoever made it.

    Args:
        file: The path of the file, or its bytes.

    Returns:
        A `Report`; `print` it. Its `inspection` has the bytes of every weight, how the runtimes
        compute with it, and the defects of the file.

    Raises:
        FlatbufferError: It is no such file, or a damaged one.
        OSError: The file cannot be read.

    Example:

    >>> inspect(b"GIF89a, or anything else")
    Traceback (most recent call last):
    ...
    keras_lottery.exporters.tflite.errors.FlatbufferError: Not a TensorFlow Lite file: it has
    b'9a, ' where b'TFL3' belongs.
    """
    return build(bytes_of(file), path="" if isinstance(file, bytes) else str(file))


def build(
    data: bytes,
    *,
    path: str | PathLike = "",
    target: str = "",
    precision: str = "",
    dense_data: bytes | None = None,
    dense_int8_data: bytes | None = None,
    reasons: Mapping[str, str] | None = None,
    proof: Proof | None = None,
    notes: Sequence[str] = (),
    shrunk: ShrinkReport | None = None,
) -> Report:
    """Builds the report on the bytes of a `.tflite` file.

    Args:
        data: The bytes of the file.
        path: See `Report`, and so for the others.
        target: See there.
        precision: See there.
        dense_data: The bytes of the same model as a dense float32 file.
        dense_int8_data: The bytes of the same model with dense int8 weights.
        reasons: Weight -> why it is stored as it is, for the weights that the export chose a form
            for.
        proof: See there.
        notes: See there.
        shrunk: See there.

    Returns:
        A `Report` without measurements; see `Report.measured`.

    Raises:
        FlatbufferError: The bytes are no such file, or a damaged one.
    """
    inspected = read(data)
    if reasons is not None:
        reasons = {found.name: _LEFT_DENSE for found in inspected.weights} | dict(reasons)
    return Report(
        path=str(path),
        inspection=inspected,
        target=target,
        precision=precision,
        dense_size=None if dense_data is None else size(dense_data),
        dense_int8_size=None if dense_int8_data is None else size(dense_int8_data),
        reasons=reasons or {},
        proof=proof,
        notes=tuple(notes),
        shrunk=shrunk,
    )


def size(data: bytes) -> Size:
    """The size of a file's bytes, raw and gzipped."""
    return Size(len(data), gzipped(data))


def _render(
    report: Report,
    table: Callable[[Sequence[str], Sequence[Sequence[str]]], str],
    heading: str,
    words: Callable[[str], str],
) -> str:
    """The report as text; `words` escapes the text outside tables for the place that shows it."""
    inspected = report.inspection
    reasons = [f"{printable(name)}: {why}" for name, why in report.reasons.items()]
    sections = [
        ("Size", table(("", "bytes", "gzipped", "of dense"), _size_rows(report))),
        ("Dead units removed before", _shrunk(report, table, words)),
        ("Weights", table(*_weight_table(report))),
        ("Why stored so", words("\n".join(f"- {reason}" for reason in reasons))),
        (
            "What the runtime does",
            words("\n".join(f"- {s}" for s in expectations.sentences(inspected))),
        ),
        ("XNNPACK's sparse 1x1 convolutions", words(_sparse_path(inspected.sparse_path))),
        ("Defects", words(_defects(inspected.defects))),
        ("Proof", _proof(report)),
        ("Measured on this machine", _measured(report, table)),
        ("Notes", words("\n".join(f"- {note}" for note in report.notes))),
    ]
    parts = [f"{heading}{name}\n\n{body}" for name, body in sections if body]
    return "\n\n".join([words(_title(report)), *parts]) + "\n"


def _title(report: Report) -> str:
    inspected = report.inspection
    asked = ", ".join(part for part in (report.target, report.precision) if part)
    count = len(inspected.weights) - inspected.unknown
    unknown = f"; more of unknown types: {inspected.unknown}" if inspected.unknown else ""
    return (
        f"{printable(report.path) or 'This file'}{f' ({asked})' if asked else ''}: "
        f"{inspected.sparsity:.1%} of the values in {count} weights are zero{unknown}"
    )


def _shrunk(
    report: Report,
    table: Callable[[Sequence[str], Sequence[Sequence[str]]], str],
    words: Callable[[str], str],
) -> str:
    if report.shrunk is None:
        return ""
    rows = [
        (name, tables.number(before), tables.number(after))
        for name, (before, after) in report.shrunk.rows().items()
    ]
    notes = words("\n".join(f"- {note}" for note in report.shrunk.notes))
    return "\n\n".join(filter(None, [table(("", "before", "after"), rows), notes]))


def _size_rows(report: Report) -> list[tuple[str, ...]]:
    inspected = report.inspection
    rows: list[tuple[str, int, int | None]] = [
        ("this file", inspected.file_bytes, inspected.gzip_bytes)
    ]
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


def _weight_table(report: Report) -> tuple[list[str], list[list[str]]]:
    # An export is compared with the float32 model that it came from; another file is so with its
    # own weights stored densely.
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


def _sparse_path(path: xnnpack.SparsePath | None) -> str:
    if path is None:
        return ""
    if path.taken:
        return (
            f"Every condition on the file holds: {len(path.weights)} convolutions with "
            f"{path.zeros:.1%} zeros. They are computed sparsely on {xnnpack.CPU_NEEDED}."
        )
    failures = [*path.structure, *path.storage]
    return "Not taken, anywhere:\n" + "\n".join(f"- {failure}" for failure in failures)


def _defects(found: Sequence[Defect]) -> str:
    """One item for each cause, with all the weights that have it."""
    lines = []
    for cause in dict.fromkeys(defect.cause for defect in found):
        alike = [defect for defect in found if defect.cause == cause]
        names = ", ".join(defect.tensor.split(";")[0] for defect in alike)
        lines.append(f"- {alike[0].kind}: {cause}")
        lines.append(f"  - in {names}")
        lines += [f"  - {runtime}: {effect}" for runtime, effect in alike[0].effects.items()]
    return "\n".join(lines)


def _proof(report: Report) -> str:
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


def _measured(
    report: Report, table: Callable[[Sequence[str], Sequence[Sequence[str]]], str]
) -> str:
    if not report.measurements:
        return _UNMEASURED
    header = ("file", "runtime", "median us", "10 % to 90 %", "memory", "load ms", "")
    return table(header, [measurement.row() for measurement in report.measurements])

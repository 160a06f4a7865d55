"""A subgraph's operators by the tensors they read and write, and constants with their uses."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_lottery.exporters.tables import printable
from keras_lottery.exporters.tflite.errors import FlatbufferError
from keras_lottery.exporters.tflite.format import flatbuffer

_NAMES = {code: name for name, code in vars(schema.BuiltinOperator).items() if name[0] != "_"}

# The characters of a custom operator's name that are shown; each has up to four bytes.
_MOST_OF_A_NAME = 100

# Operators that only change how a constant is held.
_UNWRAPPING = ("DENSIFY", "DEQUANTIZE")


@dataclass(frozen=True)
class Use:
    """A constant's way to where it is computed with.

    Attributes:
        through: Names of the operators that unwrap it, in order: `DENSIFY`, `DEQUANTIZE`.
        copies: Indices of the tensors they write.
        operator: The operator that computes with it.
    """

    through: tuple[str, ...]
    copies: tuple[int, ...]
    operator: schema.OperatorT


class Graph:
    """A subgraph indexed by tensor.

    Args:
        file: What `flatbuffer.read` returned.
        subgraph: One of its subgraphs.
    """

    def __init__(self, file: schema.ModelT, subgraph: schema.SubGraphT):
        self.file = file
        self.subgraph = subgraph
        self.producer: dict[int, schema.OperatorT] = {}
        self.consumers: dict[int, list[schema.OperatorT]] = {}
        self._names: dict[int, str] = {}
        for operator in subgraph.operators:
            for index in operator.outputs.tolist():
                if index >= 0:
                    self.producer[index] = operator
            for index in dict.fromkeys(operator.inputs.tolist()):
                if index >= 0:
                    self.consumers.setdefault(index, []).append(operator)

    def name(self, operator: schema.OperatorT) -> str:
        """The operator's name in the schema, or the one its author gave to a custom operator."""
        index = operator.opcodeIndex
        if index not in self._names:
            self._names[index] = _name(self.file.operatorCodes[index])
        return self._names[index]

    def is_custom(self, operator: schema.OperatorT) -> bool:
        """Whether a runtime has the operator only if its app brings it."""
        code = self.file.operatorCodes[operator.opcodeIndex]
        return _builtin(code) == schema.BuiltinOperator.CUSTOM

    def version(self, operator: schema.OperatorT) -> int:
        """The operator's version, by which the runtimes choose a kernel."""
        return self.file.operatorCodes[operator.opcodeIndex].version

    def tensor(self, index: int) -> schema.TensorT:
        """The tensor of an index.

        Raises:
            FlatbufferError: It is -1: an operator lacks an input or an output that it must have.
        """
        if index < 0:
            raise FlatbufferError("Damaged: an operator lacks a tensor that it must have.")
        return self.subgraph.tensors[index]

    def buffer(self, index: int) -> np.ndarray:
        """The bytes that the file stores for a tensor, uint8; none for one that is computed."""
        return flatbuffer.buffer_bytes(self.file, self.tensor(index))

    def input(self, operator: schema.OperatorT, position: int) -> int:
        """Index of the tensor an operator reads at `position`, or -1 where it reads none."""
        return int(operator.inputs[position]) if position < len(operator.inputs) else -1

    def output(self, operator: schema.OperatorT, position: int = 0) -> int:
        """Index of the tensor an operator writes at `position`, or -1 where it writes none."""
        return int(operator.outputs[position]) if position < len(operator.outputs) else -1

    def options(self, operator: schema.OperatorT, kind: type) -> Any:
        """The operator's options, checked to be of a class of the schema."""
        if not isinstance(operator.builtinOptions, kind):
            raise FlatbufferError(f"{self.name(operator)} has no {kind.__name__[:-1]}.")
        return operator.builtinOptions

    def is_constant(self, index: int) -> bool:
        """Whether the tensor's values are in the file."""
        return index >= 0 and flatbuffer.length(self.file.buffers[self.tensor(index).buffer]) > 0

    def uses(self, index: int) -> list[Use]:
        """The operators that compute with a constant, past those that only unwrap it."""
        found: list[Use] = []
        pending: list[tuple[int, tuple[str, ...], tuple[int, ...]]] = [(index, (), ())]
        while pending:
            current, through, copies = pending.pop()
            for operator in self.consumers.get(current, []):
                output = self.output(operator)
                # A damaged file may hold a loop, or thousands of ways to the same tensor.
                if (
                    len(through) == len(_UNWRAPPING)
                    or self.name(operator) not in _UNWRAPPING
                    or self.input(operator, 0) != current
                    or self.producer.get(output) is not operator
                ):
                    found.append(Use(through, copies, operator))
                else:
                    through_it = (*through, self.name(operator))
                    pending.append((output, through_it, (*copies, output)))
        return found

    def constant_behind(self, index: int) -> int | None:
        """The constant that a tensor unwraps, or the tensor itself if constant; otherwise None."""
        for _ in range(1 + len(_UNWRAPPING)):
            if index < 0:
                return None
            if self.is_constant(index):
                return index
            operator = self.producer.get(index)
            if operator is None or self.name(operator) not in _UNWRAPPING:
                return None
            index = self.input(operator, 0)
        return None


def _name(code: schema.OperatorCodeT) -> str:
    if _builtin(code) != schema.BuiltinOperator.CUSTOM:
        return _NAMES.get(_builtin(code), f"operator {_builtin(code)}")
    # Every subgraph asks for it anew, however long it is.
    shown = (code.customCode or b"CUSTOM")[: 4 * _MOST_OF_A_NAME + 4]
    return printable(shown.decode(errors="replace"), most=_MOST_OF_A_NAME)


def _builtin(code: schema.OperatorCodeT) -> int:
    # Files from before 2020 have the code only in the narrower, deprecated field.
    return int(max(code.builtinCode, code.deprecatedBuiltinCode))

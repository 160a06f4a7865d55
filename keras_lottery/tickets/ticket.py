"""The ticket: which weights are alive, and the values every variable starts from."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_lottery.core import compare, pairing
from keras_lottery.core.compare import SignAgreement, compare_signs
from keras_lottery.core.recipe import Recipe
from keras_lottery.masks.lottery import Lottery
from keras_lottery.model import assignment, variables
from keras_lottery.model.arrays import read_only
from keras_lottery.tickets import file as ticket_file
from keras_lottery.tickets import metadata as provenance
from keras_lottery.tickets.file import TicketError


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Ticket:
    """A lottery ticket: masks, and the values of all variables at the rewind point.

    Args:
        masks: Boolean arrays by kernel name, True = alive.
        values: Arrays by variable name: every variable of the model, kernels unmasked, biases,
            normalisation statistics and seed states included.
        metadata: How the ticket was found: a JSON-able dict (recipe, search, rounds, seed, steps,
            history, versions, ...).

    Raises:
        TicketError: If a mask is not boolean, or has no value of its shape.

    Example:

    >>> kernel = np.array([[0.5, -0.1], [0.2, 0.3]], "float32")
    >>> ticket = Ticket({"fc/kernel": np.abs(kernel) > 0.25}, {"fc/kernel": kernel})
    >>> ticket
    <Ticket: 2 of 4 weights alive in 1 kernel, sparsity 0.5>
    >>> ticket.sparsity
    0.5
    """

    masks: dict[str, np.ndarray]
    values: dict[str, np.ndarray]
    metadata: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.masks:
            raise TicketError("a ticket without a mask selects nothing.")
        for name, mask in self.masks.items():
            if mask.dtype != np.bool_:
                raise TicketError(f"the mask of {name!r} has dtype {mask.dtype}; masks are bool.")
            if name not in self.values:
                raise TicketError(f"there is a mask for {name!r}, but no value.")
            if mask.shape != self.values[name].shape:
                raise TicketError(
                    f"the mask of {name!r} has shape {mask.shape}, "
                    f"its value {self.values[name].shape}."
                )

    def __repr__(self) -> str:
        """Say the counts and what is known of the search, without the arrays."""
        alive = sum(int(np.count_nonzero(mask)) for mask in self.masks.values())
        size = sum(mask.size for mask in self.masks.values())
        kernels = f"{len(self.masks)} kernel{'s' if len(self.masks) > 1 else ''}"
        known = {
            "criterion": provenance.criterion_of(self.metadata),
            "rounds": self.metadata.get("rounds"),
            "operation": self.metadata.get("operation"),
        }
        found = [f"{name} {value}" for name, value in known.items() if value is not None]
        facts = [f"sparsity {self.sparsity:.6g}", *found]
        return f"<Ticket: {alive:,} of {size:,} weights alive in {kernels}, {', '.join(facts)}>"

    @classmethod
    def of(
        cls,
        lottery: Lottery,
        rounds: int | None = None,
        history: Sequence[Any] | None = None,
        trained_signs: bool = False,
    ) -> Ticket:
        """Make a ticket of the present masks and rewind point of a `Lottery`.

        Args:
            lottery: The owner of the masks and of the rewind point.
            rounds: The number of prunings, for the record.
            history: JSON-able results of the training, for the record.
            trained_signs: Whether live weights get the sign that training has given them.

        Returns:
            A `Ticket`, whose arrays are read-only: the values are not copied. Its metadata say how
            it was found: the recipe, the search with its amounts and rewind policy, the seed, the
            steps, the fingerprint of data that was measured with, the versions. If pruned weights
            are held at other values than zero, the ticket has these values, and its metadata say
            `"hold_at": "freeze"`.

        Raises:
            MaskError: If the masks are attached and do not hold.
        """
        if lottery.attached:
            lottery.check()
        masks, held, point = lottery.masks, lottery.state.held_values, lottery.state.point
        values = {
            name: np.where(masks[name], value, held[name]) if name in held else value
            for name, value in point.values.items()
        }
        metadata = provenance.of(lottery, rounds, history)
        if trained_signs:
            metadata["signs"] = "trained"
            for record in lottery.records():
                start = values[record.name]
                signed = np.copysign(start, record.current).astype(start.dtype)
                values[record.name] = np.where(record.mask, signed, start)
        return cls(read_only(masks), read_only(values), metadata)

    @property
    def sparsity(self) -> float:
        """The fraction of all masked kernels' weights that is pruned."""
        alive = sum(int(np.count_nonzero(mask)) for mask in self.masks.values())
        return 1 - alive / sum(mask.size for mask in self.masks.values())

    @property
    def held_values(self) -> dict[str, np.ndarray]:
        """The values of pruned weights in the ticket, by kernel name; 0 for live weights."""
        return {name: np.where(mask, 0, self.values[name]) for name, mask in self.masks.items()}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the ticket to one file; an interrupted write leaves the old file as it was.

        An existing file keeps its mode. Of a symbolic link the file that it points to is written.

        Args:
            path: The file, conventionally `*.ticket`. It is in the safetensors format.

        Raises:
            TicketError: If the file cannot be written, or the metadata is not JSON.
        """
        with _naming(path):
            ticket_file.write(path, ticket_file.encode(self.masks, self.values, self.metadata))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Ticket:
        """Read a ticket that `save` wrote.

        Args:
            path: The file. Its values are memory-mapped, read-only.

        Returns:
            The `Ticket`, exactly as it was saved.

        Raises:
            TicketError: If the file is missing, damaged in any bit, or not a ticket; the message
                says what else the file is, if that is known.
        """
        with _naming(path):
            return cls(*ticket_file.decode(ticket_file.memory_map(path)))

    def apply(self, model: keras.Model) -> Lottery:
        """Put the ticket on a model: every variable takes its value, and the masks are attached.

        The model may have been built in another process, where Keras numbered the layers anew. A
        layer that computes with constants of its variables, as an adapted `Normalization` does,
        makes them anew.

        Args:
            model: A built model of the architecture that the ticket was found on.

        Returns:
            The attached `Lottery`, with the ticket's rewind point. If that point is late, the
            optimizer counts iterations from it, so that a learning-rate schedule goes on: compile
            the model first. A ticket does not hold the optimizer's slots, which stay as they are;
            in a new optimizer they are zero, so that Adam's first steps at a late count are too
            large.

        Raises:
            TicketError: If the architecture is another one, or the model has masks already; the
                model is then unchanged.
        """
        try:
            own = self.renamed(model)
            step = int(self.metadata.get("rewind_step", 0))
            lottery = Lottery(
                model,
                Recipe(
                    include=f"^({'|'.join(map(re.escape, own.masks))})$",
                    hold_at=provenance.hold_at(self.metadata),
                ),
                seed=self.metadata.get("seed", 0),
                masks=own.masks,
            )
        except ValueError as error:
            raise TicketError(
                f"the ticket does not fit {getattr(model, 'name', model)!r}: {error}"
            ) from error
        try:
            assignment.assign(model, own.values)
        except ValueError as error:
            lottery.detach()
            assignment.assign(model, lottery.state.point.values)
            raise TicketError(f"the ticket does not fit {model.name!r}: {error}") from error
        optimizer = variables.optimizer_of(model)
        if step and optimizer is not None:
            optimizer.iterations.assign(step)
        lottery.enforce()
        lottery.save_rewind_point(step)
        point = dataclasses.replace(lottery.state.point, values=own.values)
        held = own.held_values if lottery.holds_nonzero else {}
        lottery.load_state(dataclasses.replace(lottery.state, held_values=held, point=point))
        return lottery

    def renamed(self, model: keras.Model) -> Ticket:
        """Return the ticket under the names that its variables have in a model.

        Args:
            model: A built model of the architecture that the ticket was found on.

        Returns:
            A `Ticket` of the same arrays.

        Raises:
            ValueError: If the architecture or a dtype is another, or the ticket masks a variable
                that cannot be pruned.
        """
        names = variables.names_in(_shapes(self.values), model)
        own = variables.named(model)
        for name, value in self.values.items():
            if own[names[name]].dtype != value.dtype.name:
                raise TicketError(
                    f"{name!r} is {value.dtype.name} in the ticket and {own[names[name]].dtype} in "
                    "the model."
                )
        masks = {names[name]: mask for name, mask in self.masks.items()}
        if strangers := masks.keys() - variables.candidates(model).keys():
            raise TicketError(f"it masks {sorted(strangers)}, which cannot be pruned.")
        values = {names[name]: value for name, value in self.values.items()}
        return Ticket(masks, values, self.metadata)

    def union(self, other: Ticket) -> Ticket:
        """Make a ticket of the weights that either keeps, starting from this ticket's values.

        Args:
            other: A ticket of the same architecture, where Keras may have numbered the layers anew.

        Returns:
            A `Ticket` with the names of this one.

        Raises:
            TicketError: If the architectures differ, or only one of the two holds pruned weights at
                other values than zero. Or if this ticket does so with weights that would come back,
                since it does not have their values at the rewind point.
        """
        return self._combined(compare.union, other)

    def intersection(self, other: Ticket) -> Ticket:
        """Make a ticket of the weights that both keep, as `union` does."""
        return self._combined(compare.intersection, other)

    def difference(self, other: Ticket) -> Ticket:
        """Make a ticket of the weights that only this one keeps, as `union` does."""
        return self._combined(compare.difference, other)

    def compare(self, other: Ticket) -> compare.Comparison:
        """Compare the masks of two tickets with each other and with chance, kernel by kernel.

        Args:
            other: A ticket of the same architecture, where Keras may have numbered the layers anew.

        Returns:
            A `keras_lottery.core.compare.Comparison`.

        Raises:
            TicketError: If the architectures or the masked kernels differ.
        """
        return self._with(compare.compare, other)

    def compare_signs(self, other: Ticket) -> tuple[SignAgreement, ...]:
        """How many of the weights that both tickets keep start with the same sign.

        Args:
            other: A ticket of the same architecture, where Keras may have numbered the layers anew.

        Returns:
            A `SignAgreement` of each kernel, and the last of all together.

        Raises:
            TicketError: As from `compare`.
        """
        names = self._names_of(other)
        values = {names[name]: other.values[name] for name in other.masks}
        return self._with(lambda one, two: compare_signs(one, two, self.values, values), other)

    def _names_of(self, other: Ticket) -> dict[str, str]:
        """The names that another ticket's variables have here."""
        try:
            return pairing.paired(_shapes(other.values), _shapes(self.values), "this ticket")
        except ValueError as error:
            raise TicketError(f"the tickets do not fit each other: {error}") from error

    def _with(self, function: Callable[..., Any], other: Ticket) -> Any:
        """Apply a function of two mask dicts to these two tickets."""
        names = self._names_of(other)
        try:
            return function(self.masks, {names[name]: mask for name, mask in other.masks.items()})
        except ValueError as error:
            raise TicketError(f"the tickets do not fit each other: {error}") from error

    def _combined(self, operation: Callable[..., dict[str, np.ndarray]], other: Ticket) -> Ticket:
        one, two = (provenance.hold_at(ticket.metadata) for ticket in (self, other))
        if one != two:
            raise TicketError(
                f"the pruned weights of one ticket are held as by {one!r}, of the other as by "
                f"{two!r}: one ticket cannot hold both."
            )
        masks = self._with(operation, other)
        revived = [name for name, mask in masks.items() if np.any(mask & ~self.masks[name])]
        if revived and one != "zero":
            raise TicketError(
                f"weights of {revived} would come back, whose values at the rewind point are not "
                f"in a ticket that holds them as by {one!r}."
            )
        metadata = {
            "operation": operation.__name__,
            "of": [self.metadata, other.metadata],
            "hold_at": one,
            "rewind_step": self.metadata.get("rewind_step", 0),
            "seed": self.metadata.get("seed", 0),
        }
        return Ticket(masks, self.values, metadata)


def _shapes(values: Mapping[str, np.ndarray]) -> dict[str, tuple[int, ...]]:
    return {name: value.shape for name, value in values.items()}


@contextlib.contextmanager
def _naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Puts the file's name in front of every `TicketError`."""
    try:
        yield
    except TicketError as error:
        name = str(path) or "''"
        raise TicketError(f"{name}: {error}") from error

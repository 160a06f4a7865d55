"""How many epochs and steps of a `fit` are trained."""

import keras

from keras_lottery.model import trainers, variables


class Clock:
    """Counts the epochs and steps of a `fit`, across rewinds and epochs that end early.

    Args:
        model: The model that is trained.
        steps_per_epoch: How many steps an epoch has, or `None` if that is not known.
    """

    def __init__(self, model: keras.Model, steps_per_epoch: int | None):
        self._steps_per_execution = getattr(model, "steps_per_execution", 1)
        self.epochs = 0
        self.steps = 0  # at the beginning of the epoch
        self.steps_per_epoch = steps_per_epoch
        self._optimizer = variables.optimizer_of(model)
        self._iterations = 0
        self._ended: list[int] = []

    def begin(self, epoch: int, steps: int) -> None:
        """The `fit` begins after so many epochs and steps."""
        self.epochs, self.steps = epoch, steps

    def begin_epoch(self) -> None:
        """An epoch begins: what is rewound before its first step is rewound."""
        self._ended = []
        self._iterations = self.iterations

    def note_batch(self, batch: int) -> None:
        """A batch has ended. Keras may call this from threads, in any order."""
        self._ended.append(batch)

    def note_rewind(self, before: int) -> None:
        """The optimizer went back, from an iteration, in the midst of the epoch."""
        self._iterations -= before - self.iterations

    def end_epoch(self, epoch: int) -> None:
        """An epoch has ended, perhaps early."""
        steps = self.batches
        if self.steps_per_epoch:
            # The last execution may have been a shorter one.
            steps = min(steps, self.steps_per_epoch)
        elif self._steps_per_execution > 1 and self.iterations > self._iterations:
            # So it may have been here, and only the optimizer knows. (After single steps it does
            # not: on TensorFlow it counts a batch that was announced and never came.)
            steps = self.iterations - self._iterations
        self.epochs = epoch + 1
        self.steps += steps

    @property
    def batches(self) -> int:
        """How many batches of this epoch have ended, as far as Keras says."""
        return max(self._ended, default=-1) + 1

    @property
    def iterations(self) -> int:
        """What the optimizer says that it has done."""
        return 0 if self._optimizer is None else trainers.steps_of(self._optimizer)

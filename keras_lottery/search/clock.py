"""`Clock` counts the epochs and steps that a `fit` has trained."""

import keras

from keras_lottery.model import trainers, variables


class Clock:
    """Counts the epochs and steps of a `fit`, across rewinds and epochs that end early.

    Args:
        model: The model that is trained.
        steps_per_epoch: The number of steps in an epoch, or `None` if it is not known.
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
        """Note that the `fit` begins after this number of epochs and steps."""
        self.epochs, self.steps = epoch, steps

    def begin_epoch(self) -> None:
        """Note that an epoch begins, and that a rewind before its first step is done."""
        self._ended = []
        self._iterations = self.iterations

    def note_batch(self, batch: int) -> None:
        """Note that a batch has ended. Keras may call this from threads, in any order."""
        self._ended.append(batch)

    def note_rewind(self, before: int) -> None:
        """Note that a rewind within the epoch took the optimizer back from an iteration."""
        self._iterations -= before - self.iterations

    def end_epoch(self, epoch: int) -> None:
        """Note that an epoch has ended, perhaps early."""
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
        """The number of batches of this epoch that have ended, as far as Keras says."""
        return max(self._ended, default=-1) + 1

    @property
    def iterations(self) -> int:
        """The number of iterations that the optimizer counts."""
        return 0 if self._optimizer is None else trainers.steps_of(self._optimizer)

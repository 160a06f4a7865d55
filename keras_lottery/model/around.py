"""`ModelAround`: a model that holds another one and trains variables of its own instead."""

import keras


class ModelAround(keras.Model):
    """A model around another one, of which only the variables in `trained` are trained.

    The model inside is not frozen: its variables just do not count as trainable here, so nothing of
    it changes by being inside.

    Args:
        inner: The model inside, built.
        name: The name of this one.
    """

    def __init__(self, inner: keras.Model, name: str):
        super().__init__(name=name)
        self.inner = inner
        self.trained: list[keras.Variable] = []

    @property
    def trainable_variables(self) -> list[keras.Variable]:
        """The variables that are trained."""
        return list(self.trained)

    @property
    def trainable_weights(self) -> list[keras.Variable]:
        """The variables that are trained."""
        return list(self.trained)

    @property
    def non_trainable_variables(self) -> list[keras.Variable]:
        """All other variables, those of the model inside among them."""
        return self._without_the_trained(self.variables)

    @property
    def non_trainable_weights(self) -> list[keras.Variable]:
        """All other weights, those of the model inside among them."""
        return self._without_the_trained(self.weights)

    def _without_the_trained(self, variables: list[keras.Variable]) -> list[keras.Variable]:
        trained = {id(variable) for variable in self.trained}
        return [variable for variable in variables if id(variable) not in trained]

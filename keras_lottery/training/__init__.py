"""Training at the speed of the hardware: many steps in one compiled call.

`fit` has the face of `keras.Model.fit`, `evaluator` computes what `evaluate` does. Below them:

- `data`, `dataset`: what is trained on, as arrays in memory, and the order a seed visits it in;
- `choice`: which way a model is trained, and why; a rule, never a timing;
- `loop`: epochs, callbacks and validation around chunks of steps;
- `tensorflow_steps`, `jax_steps`: a chunk of steps as one compiled call;
- `plain`: the same batches for ordinary `model.fit`.
"""

from keras_lottery.training.evaluator import evaluator
from keras_lottery.training.fit import fit

__all__ = ["evaluator", "fit"]

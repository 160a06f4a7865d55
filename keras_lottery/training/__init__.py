"""Training at the speed of the hardware: many steps in one compiled call.

`fit` has the face of `keras.Model.fit`. The parts below it:

- `data`: what is trained on, as arrays in memory, and the order of the batches from a seed;
- `choice`: which way a model is trained, and why; a rule, never a timing;
- `loop`: epochs, callbacks and validation around chunks of steps;
- `tensorflow_steps`, `jax_steps`: a chunk of steps as one compiled call;
- `plain`: ordinary `model.fit` over the same batches.
"""

from keras_lottery.training.fit import fit

__all__ = ["fit"]

"""What a kernel of the tests' small model is."""

import keras


def kernel_of(model, layer="fc1"):
    return keras.ops.convert_to_numpy(model.get_layer(layer).kernel)

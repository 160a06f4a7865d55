"""Convolutions of stride 2 whose padding XNNPACK's sparse path accepts."""

import keras


def symmetric(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """A strided convolution with the same padding on every side.

    Keras's `padding="same"` pads an even input at stride 2 only on the right and at the bottom,
    as do the layers of `keras.applications.MobileNetV2`. XNNPACK computes 1x1 convolutions sparsely
    only in networks that pad 3x3 convolutions of stride 2 by one on every side, 5x5 ones by two.

    Args:
        layer: A `Conv2D` or `DepthwiseConv2D` with a kernel of 3x3 or 5x5 and `padding="valid"`.

    Returns:
        `[ZeroPadding2D, layer]`, to be called or added in this order; the padding layer is named
        after the layer.

    Raises:
        ValueError: The layer is no such convolution.

    >>> conv = keras.layers.Conv2D(32, 3, strides=2, name="stem")
    >>> model = keras.Sequential([keras.Input((224, 224, 3)), *symmetric(conv)])
    >>> model.output_shape
    (None, 112, 112, 32)
    """
    if not isinstance(layer, (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)):
        raise ValueError(
            f"`layer` is a {type(layer).__name__}; it must be a Conv2D or a DepthwiseConv2D."
        )
    if layer.kernel_size not in ((3, 3), (5, 5)):
        raise ValueError(f"{layer.name!r} has a kernel of {layer.kernel_size}; it must be 3 or 5.")
    if layer.padding != "valid":
        raise ValueError(
            f"{layer.name!r} has padding={layer.padding!r}; it must be 'valid', as the padding is "
            "done before it."
        )
    margin = layer.kernel_size[0] // 2
    return [keras.layers.ZeroPadding2D(margin, name=f"{layer.name}_padding"), layer]

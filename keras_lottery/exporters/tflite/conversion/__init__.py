"""From a Keras model to a dense `.tflite` file in which its kernels are found again."""

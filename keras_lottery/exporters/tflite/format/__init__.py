"""The `.tflite` format: reading, writing and editing a file, and its sparse tensors."""

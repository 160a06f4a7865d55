"""The errors: `ExportError` of a failed export, `FlatbufferError` of bytes that are no file."""


class ExportError(RuntimeError):
    """The model could not be exported, or the exported file failed its proof.

    The message names the weight of the model or the tensor of the file, and the runtime, if one of
    them went wrong. Nothing was written: a file that was to be replaced is still there.
    """


class FlatbufferError(ValueError):
    """The bytes are not a TensorFlow Lite model, or a damaged one."""

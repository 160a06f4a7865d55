"""The two errors: of an export that was not made or not proven, and of a file that is none."""


class ExportError(RuntimeError):
    """The model could not be exported, or the exported file failed its proof.

    The message names the model's weight or the file's tensor, and the runtime, where it went wrong.
    Nothing was written: a file of before, which was to be replaced, is still there.
    """


class FlatbufferError(ValueError):
    """The bytes are not a TensorFlow Lite model, or a damaged one."""

"""`ExportError`: the one error of an export that could not be made, or not be proven."""


class ExportError(RuntimeError):
    """The model could not be exported, or the exported file failed its proof.

    The message names the model's weight or the file's tensor, and the runtime, where it went wrong.
    Nothing was written: a file of before, which was to be replaced, is still there.
    """

"""`describe(data) -> str | None` says by its first bytes what a file is that is no ticket.

A ticket begins with the length of its header in eight bytes, of which the first may be anything
and the last four are zero, as the header is limited; then comes a brace.
"""

import mmap

_BEGINNINGS = {
    b"\x89HDF\r\n\x1a\n": "an HDF5 file, as Keras writes weights (.weights.h5) and models (.h5)",
    b"\x93NUMPY": "a NumPy array (.npy)",
    b"version https://git-lfs": "a pointer of Git LFS; fetch the file that it stands for",
    b"GGUF": "a GGUF file",
    b"\x1f\x8b": "a gzip file; unpack it",
    b"\x80\x02": "a pickle",
    b"\x80\x03": "a pickle",
    b"\x80\x04": "a pickle",
    b"\x80\x05": "a pickle",
    b"\x08\x01\x12": "a protocol buffer, as saved_model.pb of a TensorFlow SavedModel",
}
_ZIP = b"PK\x03\x04"
# The names of a zip archive's files stand at its end.
_ZIP_TAIL = 2**16
_ZIP_CONTENTS = {
    b"model.weights.": "a Keras model (.keras)",
    b"data.pkl": "a PyTorch file",
    b".npy": "NumPy arrays (.npz)",
}


def describe(data: bytes | mmap.mmap) -> str | None:
    """Say what a file is that some other program wrote.

    Args:
        data: The content of the file, in memory or memory-mapped.

    Returns:
        A noun with its article, or `None` if the file is not known.

    Example:

    >>> describe(b"\\x1c\\x00\\x00\\x00TFL3")
    'a TFLite file'
    >>> describe(b"a text")
    'a text'
    """
    if data[4:9] == b"\0\0\0\0{":
        return None
    if data[4:8] == b"TFL3":
        return "a TFLite file"
    if data[:4] == _ZIP:
        tail = data[-_ZIP_TAIL:]
        kinds = (kind for name, kind in _ZIP_CONTENTS.items() if name in tail)
        return next(kinds, "a zip archive")
    beginning = data[:64]
    for start, kind in _BEGINNINGS.items():
        if beginning.startswith(start):
            return kind
    # A character that is cut in two at the end counts as one.
    text = beginning.decode("utf-8", errors="ignore")
    readable = len(text.encode()) >= len(beginning) - 3
    if readable and text and all(c.isprintable() or c.isspace() for c in text):
        return "a text"
    return None

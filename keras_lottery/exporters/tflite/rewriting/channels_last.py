"""`keep(model)`: no stretch of a network is held channels first where XNNPACK would misread it.

XNNPACK opens a stretch only at a convolution into which it has merged the PAD before it. PADV2 with
a zero computes the same, and the delegate of XNNPACK in LiteRT does not take it (`VisitNode` in its
`tflite/delegates/xnnpack/xnnpack_delegate.cc` knows PAD alone): no stretch opens behind it.
"""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_lottery.exporters.tables import printable
from keras_lottery.exporters.tflite.contents import Contents
from keras_lottery.exporters.tflite.errors import ExportError
from keras_lottery.exporters.tflite.format import edit, levels
from keras_lottery.exporters.tflite.format.graph import Graph
from keras_lottery.exporters.tflite.runtimes import channels_first


def keep(file: schema.ModelT) -> tuple[str, ...]:
    """Writes the padding that opens a misread stretch as one that XNNPACK leaves alone.

    Args:
        file: A `ModelT` whose weights are stored as the file shall have them, changed in place.
            One without a defect that `channels_first.find` names stays as it is.

    Returns:
        A tuple of notes for the user, none where nothing was misread.

    Raises:
        ExportError: A stretch is misread all the same. The message names its layers and the cause.
    """
    defects = channels_first.find(file, Contents(file))
    if not defects:
        return ()
    openings, subgraph = channels_first.openings(file, Contents(file)), file.subgraphs[0]
    layers = ", ".join(dict.fromkeys(_layer(Graph(file, subgraph), each) for each in openings))
    causes = " ".join(dict.fromkeys(defect.cause for defect in defects))
    for convolution in openings:
        _leave_padding_alone(file, subgraph, convolution)
    edit.drop_unused(file)
    if channels_first.find(file, Contents(file)):
        raise ExportError(
            f"XNNPACK would misread what the 1x1 convolutions behind {layers} compute, and the "
            f"file has no padding there that could keep it from that. {causes}"
        )
    return (
        f"The padding before {layers} is written as PADV2, which XNNPACK leaves alone, so that it "
        "computes the 1x1 convolutions behind it densely on every CPU: sparsely it would misread "
        f"them. {causes}",
    )


def _layer(graph: Graph, convolution: schema.OperatorT) -> str:
    """The layer of a convolution, by the name of its kernel, which every file keeps."""
    constant = graph.constant_behind(graph.input(convolution, 1))
    kernel = graph.tensor(-1 if constant is None else constant)
    return repr(printable(levels.name(kernel).rpartition("/")[0]))


def _leave_padding_alone(
    file: schema.ModelT, subgraph: schema.SubGraphT, convolution: schema.OperatorT
) -> None:
    pad = Graph(file, subgraph).producer[int(convolution.inputs[0])]
    zero = edit.add_tensor(file, subgraph, (), schema.TensorType.FLOAT32, np.zeros(1, np.float32))
    pad.inputs = np.array([*pad.inputs, zero], np.int32)
    pad.opcodeIndex = edit.operator_code(file, schema.BuiltinOperator.PADV2, version=1)
    pad.builtinOptionsType = schema.BuiltinOptions.PadV2Options
    pad.builtinOptions = schema.PadV2OptionsT()

"""`keep(model)`: no stretch of a network is held channels first where XNNPACK would misread it.

XNNPACK opens a stretch only at a convolution into which it has merged the PAD before it. PADV2 with
a zero computes the same, and the delegate of XNNPACK in LiteRT does not take it (`VisitNode` in its
`tflite/delegates/xnnpack/xnnpack_delegate.cc` knows PAD alone): no stretch opens behind it.
"""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_lottery.exporters.tflite.contents import Contents
from keras_lottery.exporters.tflite.errors import ExportError
from keras_lottery.exporters.tflite.format import edit, levels
from keras_lottery.exporters.tflite.format.graph import Graph
from keras_lottery.exporters.tflite.format.names import printable
from keras_lottery.exporters.tflite.runtimes import channels_first


def keep(model):
    """Writes the padding that opens a misread stretch as one that XNNPACK leaves alone.

    Args:
        model: A `ModelT` whose weights are stored as the file shall have them, changed in place.
            One without a defect that `channels_first.find` names stays as it is.

    Returns:
        A tuple of notes for the user, none where nothing was misread.

    Raises:
        ExportError: A stretch is misread all the same. The message names its layers and the cause.
    """
    defects = channels_first.find(model, Contents(model))
    if not defects:
        return ()
    openings, subgraph = channels_first.openings(model, Contents(model)), model.subgraphs[0]
    layers = ", ".join(dict.fromkeys(_layer(Graph(model, subgraph), each) for each in openings))
    causes = " ".join(dict.fromkeys(defect.cause for defect in defects))
    for convolution in openings:
        _leave_padding_alone(model, subgraph, convolution)
    edit.drop_unused(model)
    if channels_first.find(model, Contents(model)):
        raise ExportError(
            f"XNNPACK would misread what the 1x1 convolutions behind {layers} compute, and the "
            f"file has no padding there that could keep it from that. {causes}"
        )
    return (
        f"The padding before {layers} is written as PADV2, which XNNPACK leaves alone, so that it "
        "computes the 1x1 convolutions behind it densely on every CPU: sparsely it would misread "
        f"them. {causes}",
    )


def _layer(graph, convolution):
    """The layer of a convolution, by the name of its kernel, which every file keeps."""
    kernel = graph.tensor(graph.source(graph.input(convolution, 1)))
    return repr(printable(levels.title(kernel).rpartition("/")[0]))


def _leave_padding_alone(model, subgraph, convolution):
    pad = Graph(model, subgraph).producer[int(convolution.inputs[0])]
    zero = edit.add_tensor(model, subgraph, (), schema.TensorType.FLOAT32, np.zeros(1, np.float32))
    pad.inputs = np.array([*pad.inputs, zero], np.int32)
    pad.opcodeIndex = edit.operator_code(model, schema.BuiltinOperator.PADV2, version=1)
    pad.builtinOptionsType = schema.BuiltinOptions.PadV2Options
    pad.builtinOptions = schema.PadV2OptionsT()

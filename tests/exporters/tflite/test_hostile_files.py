"""Files made to hang, to crash or to deceive whoever inspects them."""

import itertools
import os
import random
import resource
import time

import numpy as np
import pytest
import sample_files
from ai_edge_litert import schema_py_generated as schema

from keras_lottery.exporters.tflite import inspection, report
from keras_lottery.exporters.tflite.errors import FlatbufferError
from keras_lottery.exporters.tflite.format import edit, flatbuffer, graph

TYPES, CODES = schema.TensorType, schema.BuiltinOperator


@pytest.fixture
def model():
    """A model without operators, whose only subgraph is empty."""
    file, subgraph = schema.ModelT(), schema.SubGraphT()
    file.version, file.operatorCodes, file.buffers = 3, [], [schema.BufferT()]
    subgraph.tensors, subgraph.operators = [], []
    subgraph.inputs = subgraph.outputs = np.zeros(0, np.int32)
    file.subgraphs = [subgraph]
    return file


def add(model, shape, kind=TYPES.FLOAT32, values=None, name=b""):
    return edit.add_tensor(model, model.subgraphs[0], shape, kind, values, name)


def connect(model, code, inputs, outputs, options=None):
    made = edit.operator(model, code, inputs, outputs, options=options)
    model.subgraphs[0].operators.append(made)


def convolution():
    options = schema.Conv2DOptionsT()
    options.strideH = options.strideW = options.dilationHFactor = options.dilationWFactor = 1
    return options


def counted(monkeypatch, target, name):
    """How often a function is called from now on."""
    calls, function = [], getattr(target, name)

    def counting(*arguments):
        calls.append(name)
        return function(*arguments)

    monkeypatch.setattr(target, name, counting)
    return calls


@pytest.mark.parametrize("code", ["CONV_2D", "MEAN", "PAD", "DEQUANTIZE", "FULLY_CONNECTED"])
@pytest.mark.parametrize("end", ["inputs", "outputs"])
def test_operators_without_inputs_or_outputs_are_answered_or_refused(code, end):
    file = flatbuffer.read(sample_files.separable_file())
    connect(file, getattr(CODES, code), [0], [1])
    codes = [each.builtinCode for each in file.operatorCodes]
    for operator in file.subgraphs[0].operators:
        if codes[operator.opcodeIndex] == getattr(CODES, code):
            setattr(operator, end, np.zeros(0, np.int32))
    try:
        found = inspection.read(flatbuffer.write(file))
    except FlatbufferError as error:
        assert "lacks a tensor" in str(error)
    else:
        assert found.operators[code] >= 1


def test_an_absent_input_is_not_the_last_tensor(model):
    kernel = add(model, (4, 4), values=np.ones((4, 4), np.float32), name=b"kernel")
    connect(model, CODES.DEQUANTIZE, [-1], [add(model, (4, 4))])
    [weight] = inspection.read(flatbuffer.write(model)).weights
    assert (weight.name, weight.operator) == ("kernel", "")
    assert kernel == 0


def test_a_chain_of_constants_that_unwrap_each_other_is_followed_two_steps(model):
    tensors = [add(model, (2, 2), TYPES.FLOAT16, np.ones((2, 2), np.float16)) for _ in range(2000)]
    for one, next_one in itertools.pairwise(tensors):
        connect(model, CODES.DEQUANTIZE, [one], [next_one])
    found = inspection.read(flatbuffer.write(model))
    # As stored, and two copies.
    assert found.weights[0].memory == 3 * 8
    assert {weight.operator for weight in found.weights[:-3]} == {"DEQUANTIZE"}


@pytest.mark.parametrize("kind", ["FLOAT32", "INT16", "INT8", "INT4"])
def test_tensors_that_share_a_buffer_are_counted_once(model, monkeypatch, kind):
    values = np.zeros(4096, np.uint8)
    values[:8] = 1
    shared = edit.add_buffer(model, values)
    size = 4096 * 8 // {"FLOAT32": 32, "INT16": 16, "INT8": 8, "INT4": 4}[kind]
    for number in range(100):
        tensor = model.subgraphs[0].tensors[add(model, (2, size // 2), getattr(TYPES, kind))]
        tensor.buffer = shared
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.zeroPoint = [number % 7 if kind != "FLOAT32" else 0]
    data = flatbuffer.write(model)
    name = "_count_floats" if kind == "FLOAT32" else "_count_integers"
    calls = counted(monkeypatch, inspection.Contents, name)
    found = inspection.read(data)
    assert len(found.weights) == 100
    assert len(calls) == 1


def test_no_subgraph_reads_all_codes_anew(model, monkeypatch):
    for number in range(50):
        edit.custom_code(model, f"custom {number}")
    empty = model.subgraphs[0]
    model.subgraphs = [empty] * 40
    calls = counted(monkeypatch, graph, "_name")
    inspection.read(flatbuffer.write(model))
    assert not calls


def test_a_long_name_of_an_operator_is_cut_before_it_is_decoded(model):
    connect(model, CODES.RELU, [add(model, (1,))], [0])
    operator = model.subgraphs[0].operators[0]
    operator.opcodeIndex = edit.custom_code(model, "\N{GREEK SMALL LETTER ALPHA}" * 10_000)
    [name] = inspection.read(flatbuffer.write(model)).operators
    assert name == "\N{GREEK SMALL LETTER ALPHA}" * 100 + "\N{HORIZONTAL ELLIPSIS}"


def test_a_pad_that_reads_itself_does_not_hang(model):
    image = add(model, (1, 4, 4, 4), name=b"image")
    amounts = add(model, (4, 2), TYPES.INT32, np.zeros((4, 2), np.int32))
    kernel = add(model, (4, 1, 1, 4), values=np.zeros((4, 1, 1, 4), np.float32))
    axes = add(model, (2,), TYPES.INT32, np.array([1, 2], np.int32))
    output = add(model, (1, 4, 4, 4))
    connect(model, CODES.PAD, [image, amounts], [image])
    connect(model, CODES.CONV_2D, [image, kernel, -1], [output], convolution())
    connect(model, CODES.PAD, [output, amounts], [output])
    connect(model, CODES.MEAN, [output, axes], [add(model, (1, 4))])
    assert not inspection.read(flatbuffer.write(model)).sparse_path.taken


def test_a_thousand_ends_of_one_stretch_are_one_stretch(model):
    kernel = add(model, (4, 1, 1, 4), values=np.zeros((4, 1, 1, 4), np.float32), name=b"kernel")
    axes = add(model, (2,), TYPES.INT32, np.array([1, 2], np.int32))
    image = add(model, (1, 4, 4, 4), name=b"image")
    for _ in range(1000):
        after = add(model, (1, 4, 4, 4))
        connect(model, CODES.CONV_2D, [image, kernel, -1], [after], convolution())
        connect(model, CODES.MEAN, [after, axes], [add(model, (1, 4))])
        image = after
    path = inspection.read(flatbuffer.write(model)).sparse_path
    assert len(path.weights) == 1000


def test_more_axes_than_any_array_has_are_damage(model):
    add(model, [2**31 - 1] * 1000)
    with pytest.raises(FlatbufferError, match="1000 axes"):
        flatbuffer.read(flatbuffer.write(model))


EVIL = (
    b"\x1b[2J\x1b]2owned\x07\n\n## Proof\n- equal <script>alert(1)</script> [a](http://b) `|"
    b"\xe2\x80\xae"
)


def test_names_neither_steer_a_terminal_nor_forge_a_section_nor_carry_html(model):
    model.subgraphs[0].inputs = np.array([add(model, (1, 4), name=EVIL)], np.int32)
    kernel = add(model, (4, 4), values=np.ones((4, 4), np.float32), name=EVIL)
    connect(model, CODES.FULLY_CONNECTED, [0, kernel, -1], [add(model, (1, 4), name=EVIL)])
    operator = schema.OperatorT()
    operator.opcodeIndex = edit.custom_code(model, EVIL.decode())
    operator.inputs = operator.outputs = np.array([0], np.int32)
    model.subgraphs[0].operators.append(operator)
    found = report.build(flatbuffer.write(model), path=EVIL.decode(), notes=[])
    for text in (str(found), found.to_markdown(), found.to_json()):
        assert all(each.isprintable() or each == "\n" for each in text)
        assert "\n## Proof" not in text
    assert "<script" not in found.to_markdown()
    assert "[a](" not in found.to_markdown().replace("\\[a\\](", "")
    assert len([line for line in found.to_markdown().splitlines() if "alert" in line]) == 2


def test_the_one_line_of_an_error_steers_nothing_either(tmp_path, capsys):
    from keras_lottery.commands import __main__ as commands

    with pytest.raises(SystemExit) as end:
        commands.main(["inspect", str(tmp_path / "\x1b[2J.tflite")])
    assert end.value.code == 1
    assert "\x1b" not in capsys.readouterr().err


def test_what_is_no_plain_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(OSError, match=r"Not a plain file|Is a directory"):
            inspection.bytes_of(path)


@pytest.mark.parametrize(
    ("kind", "values", "zeros", "dtype"),
    [
        (TYPES.INT2, [0b11_00_01_00, 0b00_00_00_10], 5, "int2"),
        (TYPES.INT4, [0x0F, 0x10, 0x00, 0x08], 5, "int4"),
        (TYPES.UINT4, [0x0F, 0x10, 0x00, 0x08], 5, "uint4"),
        (TYPES.BFLOAT16, [0, 0, 0x80, 0x3F] * 4, 4, "bfloat16"),
    ],
)
def test_the_zeros_of_narrow_types(model, kind, values, zeros, dtype):
    add(model, (2, 4), kind, np.array(values, np.uint8), b"kernel")
    [weight] = inspection.read(flatbuffer.write(model)).weights
    assert (weight.dtype, weight.sparsity) == (dtype, zeros / 8)
    assert weight.stored_bytes == weight.dense_bytes == len(values)


def test_what_fills_the_last_byte_up_is_no_zero(model):
    add(model, (3, 1, 3), TYPES.INT4, np.array([0x11] * 4 + [0x01], np.uint8), b"kernel")
    [weight] = inspection.read(flatbuffer.write(model)).weights
    assert weight.sparsity == 0.0
    model.subgraphs[0].tensors[0].shape = [2, 1, 3]
    with pytest.raises(FlatbufferError, match="5 bytes for 6"):
        inspection.read(flatbuffer.write(model))


def test_a_type_that_is_not_known_is_counted_as_unknown(model):
    add(model, (4, 4), 99, np.ones(24, np.uint8), b"kernel")
    add(model, (2, 2), values=np.eye(2, dtype=np.float32), name=b"other")
    found = report.build(flatbuffer.write(model))
    kernel = found.inspection.weights[0]
    assert (kernel.dtype, kernel.sparsity, kernel.stored_bytes) == ("type 99", None, 24)
    assert found.inspection.unknown == 1
    assert found.inspection.sparsity == 0.5
    assert "50.0% of the values in 1 weights are zero; more of unknown types: 1" in str(found)


def mutated(data, rng):
    """A copy with some bytes, words or stretches changed, and sometimes cut short."""
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5))):
        place = rng.randrange(len(data))
        kind = rng.randrange(3)
        if kind == 0:
            data[place] = rng.choice((0, 1, 127, 128, 255, data[place] ^ 1))
        elif kind == 1:
            word = rng.choice((0, 1, 2**31 - 1, 2**32 - 1, rng.randrange(len(data))))
            data[place & ~3 : (place & ~3) + 4] = word.to_bytes(4, "little")
        else:
            source, length = rng.randrange(len(data)), rng.randrange(1, 32)
            data[place : place + length] = data[source : source + length]
    return bytes(data[: rng.randrange(len(data))] if rng.random() < 0.02 else data)


@pytest.mark.long
def test_a_hundred_thousand_mutated_files_are_read_or_refused_in_little_memory():
    files = [
        sample_files.stock_file("float32", inputs=16, hidden=8),
        sample_files.stock_file("float16", inputs=16, hidden=16, block=4),
        sample_files.stock_file("int8", inputs=32, hidden=16, block=16),
        sample_files.separable_file(),
    ]
    for data in files:
        str(report.build(data))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rng, read, slowest = random.Random(1), 0, 0.0
    for _ in range(100_000):
        data, start = mutated(rng.choice(files), rng), time.process_time()
        try:
            str(report.build(data))
            read += 1
        except FlatbufferError as error:
            assert str(error)
        slowest = max(slowest, time.process_time() - start)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert 10_000 < read < 90_000
    assert grown * 1024 < 64 * 2**20 + 20 * max(map(len, files))
    # A hundred times what an honest one takes.
    assert slowest < 5

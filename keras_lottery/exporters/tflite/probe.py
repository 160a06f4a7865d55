"""A script that loads and runs `.tflite` files in a process of its own, and prints JSON.

A file that the runtime cannot compute may end the process, and memory can only be read off a fresh
one. So `measure` starts this file by its path, and it imports nothing of its own package.

    probe.py memory RUNTIME FILE                 {"memory": bytes, "load": seconds}
    probe.py latency RUNTIME SECONDS FILE ...    [[seconds of one run, ...] for each file]
"""

import json
import resource
import sys
import time

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

# A sample times as many runs as take about this long: the clock alone takes 0.1 us.
_SAMPLE_SECONDS = 5e-4


def _memory(runtime, file):
    before, start = _resident(), time.perf_counter()
    interpreter = _interpreter(file, runtime)
    interpreter.invoke()
    # The interpreter is alive until here, and with it what it holds.
    return {"load": time.perf_counter() - start, "memory": _resident() - before}


def _latency(runtime, seconds, *files):
    interpreters = [_interpreter(file, runtime) for file in files]
    repeats = [_repeats(interpreter) for interpreter in interpreters]
    samples = [[] for _ in files]
    end = time.perf_counter() + float(seconds)
    while time.perf_counter() < end:
        for interpreter, count, taken in zip(interpreters, repeats, samples, strict=True):
            taken.append(_time(interpreter, count))
    return samples


def _repeats(interpreter):
    _time(interpreter, 1)
    return max(1, round(_SAMPLE_SECONDS / _time(interpreter, 10)))


def _time(interpreter, count):
    start = time.perf_counter()
    for _ in range(count):
        interpreter.invoke()
    return (time.perf_counter() - start) / count


def _interpreter(file, runtime):
    resolver = {
        "XNNPACK": OpResolverType.AUTO,
        "built-in kernels": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    }[runtime]
    interpreter = Interpreter(file, experimental_op_resolver_type=resolver, num_threads=1)
    interpreter.allocate_tensors()
    rng = np.random.default_rng(0)
    for detail in interpreter.get_input_details():
        values = rng.random(detail["shape"], dtype=np.float32)
        interpreter.set_tensor(detail["index"], values.astype(detail["dtype"]))
    return interpreter


def _resident():
    """Bytes of this process in RAM now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


if __name__ == "__main__":
    # NumPy loads its generators when they are first used; that is not the file's memory.
    np.random.default_rng(0).random(1)
    _COMMANDS = {"memory": _memory, "latency": _latency}
    print(json.dumps(_COMMANDS[sys.argv[1]](*sys.argv[2:])))

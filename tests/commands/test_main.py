"""The command line as a whole: what it knows, and how soon."""

import configparser
import pathlib
import re
import sys
from importlib import metadata

import pytest

import keras_lottery
from keras_lottery.commands import __main__ as commands


@pytest.mark.parametrize("arguments", [[], *([name] for name in commands.COMMANDS)], ids=str)
def test_help_needs_nothing_slow(run_python, arguments):
    said = run_python(
        "import sys\n"
        "from keras_lottery.commands import __main__ as commands\n"
        "try:\n"
        f"    commands.main({[*arguments, '--help']})\n"
        "except SystemExit as end:\n"
        "    slow = {'numpy', 'keras', 'tensorflow', 'jax', 'torch'} & set(sys.modules)\n"
        "    print('status', end.code, slow)\n"
    )
    assert said.startswith(f"usage: {' '.join(['keras-lottery', *arguments])}")
    assert said.endswith("status 0 set()\n")


def test_help_tells_what_each_command_does(run):
    _, out, _ = run("--help")
    for name in commands.COMMANDS:
        assert re.search(rf"^    {name}\s+[A-Z]", out, flags=re.MULTILINE)


def test_the_version(run):
    assert run("--version") == (0, f"keras_lottery {keras_lottery.__version__}\n", "")


def test_no_command_and_an_unknown_one_are_errors(run):
    code, _, err = run()
    assert code == 2
    assert "required: COMMAND" in err
    code, _, err = run("prune")
    assert code == 2
    assert "'prune' (choose from" in err


def test_without_the_exporter_a_command_says_what_to_install(run, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_lottery.exporters", None)
    for arguments in (
        ("inspect", folder / "dense.tflite"),
        ("benchmark", folder / "dense.tflite"),
        ("export", f"--model={folder / 'M.keras'}", f"--output={folder / 'F.tflite'}"),
    ):
        code, _, _ = run(*arguments)
        assert code.startswith(f"keras-lottery {arguments[0]}: ")
        assert "pip install 'keras_lottery[tflite]'" in code


def test_the_wheel_installs_the_command():
    parser = configparser.ConfigParser()
    parser.read(pathlib.Path(__file__).parents[2] / "setup.cfg")
    [[name, target]] = [
        line.split(" = ")
        for line in parser["options.entry_points"]["console_scripts"].strip().splitlines()
    ]
    assert name == "keras-lottery"
    assert metadata.EntryPoint(name, target, "console_scripts").load() is commands.main


def test_public_names_are_loaded_when_the_first_is_asked_for(run_python):
    said = run_python(
        "import sys, keras_lottery as kl\n"
        "assert 'keras' not in sys.modules\n"
        "assert not hasattr(kl, '__wrapped__') and 'keras' not in sys.modules\n"
        "from keras_lottery import Prune\n"
        "assert kl.Prune is Prune and kl.core.criteria is kl.criteria\n"
        "assert set(kl.__all__) <= set(dir(kl))\n"
        "try:\n"
        "    kl.Prunes\n"
        "except AttributeError as error:\n"
        "    print(error)\n"
    )
    assert said == "module 'keras_lottery' has no attribute 'Prunes'\n"

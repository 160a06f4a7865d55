"""Scripts of `export/` run in this process, and a small pruned network for them."""

import runpy
import sys

import pytest
from absl import flags

import keras_lottery as kl
from experiments import networks


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs a script of `export/` as `python -m` does: its exit code, output and errors."""

    def script(name, *arguments):
        known = set(flags.FLAGS)
        # Tests of other scripts in this process may have defined flags of the same name.
        defined_in = {flag: flags.FLAGS.find_module_defining_flag(flag) for flag in known}
        others = {
            flag: flags.FLAGS[flag]
            for flag, module in defined_in.items()
            if module.startswith("experiments")
        }
        key_flags = {m: list(each) for m, each in flags.FLAGS.key_flags_by_module_dict().items()}
        for flag in others:
            delattr(flags.FLAGS, flag)
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        # runpy warns of what the tests have imported themselves.
        monkeypatch.delitem(sys.modules, f"export.{name}", raising=False)
        flags.FLAGS.unparse_flags()
        try:
            runpy.run_module(f"export.{name}", run_name="__main__")
            code = 0
        except SystemExit as end:
            code = end.code or 0
        finally:
            for flag in set(flags.FLAGS) - (known - set(others)):
                delattr(flags.FLAGS, flag)
            for flag, definition in others.items():
                flags.DEFINE_flag(definition, module_name=defined_in[flag])
            for module, adopted in key_flags.items():
                for definition in adopted:
                    if definition.name in others:
                        flags.FLAGS.register_key_flag_for_module(module, definition)
            flags.FLAGS.unparse_flags()
        said = capsys.readouterr()
        return code, said.out, said.err

    return script


@pytest.fixture(scope="module")
def model():
    """A pruned network for the digits."""
    model = networks.get("digits_mlp").build((8, 8, 1), classes=10)
    kl.Lottery(model).prune(0.9)
    return kl.strip(model)

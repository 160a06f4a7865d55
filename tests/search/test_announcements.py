"""What `Prune` says of schedules, loggers and itself: once, with numbers and a cure."""

import re
import warnings

import keras
import numpy as np
import pytest
from fitting import Do, fit

import keras_lottery as kl
from keras_lottery import schedules


def said_by(call):
    """What was said while a function ran."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    return [str(warning.message) for warning in caught if "Prune" in str(warning.message)]


def assert_matches(said, patterns):
    assert len(said) == len(patterns), said
    for message, pattern in zip(said, patterns, strict=True):
        assert re.search(pattern, message), message


class Gated:
    """As tfmot's: it prunes at every third step from the third, up to the 30th."""

    begin_step = 3

    def __call__(self, step):
        return 3 <= step <= 30 and step % 3 == 0, min(step, 30) / 60


@pytest.mark.parametrize(
    "schedule, settings, epochs, before, after",
    [
        (
            schedules.polynomial(0.8, begin=1, end=20),
            {},
            4,
            r"0\.8 at epoch 20, and this fit ends after epoch 4 with 0\.3223: .*`epochs=20`",
            r"after epoch 4 with a sparsity of 0\.3125; .* asks for 0\.8 at epoch 20.*epochs=20\)",
        ),
        # A rewind takes an epoch after it.
        (
            schedules.polynomial(0.8, begin=1, end=3),
            {"rewind": kl.rewind.to_start()},
            3,
            r"0\.8 at epoch 3, and this fit ends after epoch 3 with 0\.7: .*`epochs=4`",
            r"with a sparsity of 0\.7; .* asks for 0\.8 at epoch 3",
        ),
        (
            schedules.constant(0.5, begin=30),
            {"unit": "step"},
            2,
            r"0\.5 at step 30, .* after epoch 2 \(step 14\) with 0: .*`epochs=5`",
            r"with a sparsity of 0; .* asks for 0\.5 at step 30.*initial_epoch=2, epochs=5\)",
        ),
        (
            Gated(),
            {"unit": "step"},
            2,
            r"0\.5 at step 30, .* \(step 14\) with 0\.2: .*`epochs=5`",
            "asks for 0.5 at step 30",
        ),
        (lambda epoch: [0, 0.1, 0.2, 0.5, 0.7][epoch], {}, 3, "0.7 at epoch 4.*with 0.5:", "0.7"),
        # It has no end to reach, but it should begin.
        (
            schedules.geometric(0.5, every=10),
            {},
            4,
            r"for the first time at epoch 10, .* with 0: .*`epochs=10`",
            None,
        ),
        (
            schedules.constant(0.25),
            {"overrides": {"output": schedules.constant(0.5, begin=9)}},
            2,
            "for 'output' asks for a sparsity of 0.5 at epoch 9.*with 0:",
            "for 'output' asks for 0.5 at epoch 9",
        ),
    ],
)
def test_a_schedule_that_the_fit_cannot_finish(
    make_model, data, schedule, settings, epochs, before, after
):
    prune = kl.Prune(schedule, **settings)
    said = said_by(lambda: fit(make_model(), data, prune, epochs=epochs))
    assert_matches(said, [pattern for pattern in (before, after) if pattern])


@pytest.mark.parametrize(
    "schedule, settings",
    [
        (schedules.polynomial(0.8, begin=1, end=4), {}),
        (schedules.polynomial(0.8, begin=1, end=28), {"unit": "step"}),
        (schedules.polynomial(0.8, begin=1, end=3), {"rewind": kl.rewind.to_start()}),
        (schedules.geometric(0.3), {}),
        (schedules.geometric(0.3, every=2), {"rewind": kl.rewind.to_start()}),
        (schedules.constant(0.0), {}),
        (lambda epoch: [0, 0.1, 0.2, 0.5, 0.7][epoch], {}),
        (lambda epoch: 0.5 if epoch == 2 else 0.0, {}),
    ],
)
def test_nothing_is_said_of_one_that_it_can(make_model, data, schedule, settings):
    assert not said_by(lambda: fit(make_model(), data, kl.Prune(schedule, **settings)))


def test_a_model_that_is_sparse_enough_already(make_model, data):
    """0.8 of 48 and of 32 weights is 38 and 26, a little less than 0.8 of one of them."""
    model = make_model()
    kl.Lottery(model).prune(0.8)
    prune = kl.Prune(schedules.polynomial(0.8, begin=1, end=20))
    assert not said_by(lambda: fit(model, data, prune))


def test_early_stopping_is_said_at_the_end(make_model, data):
    stop = Do(lambda model, epoch: setattr(model, "stop_training", epoch == 2))
    for schedule, asked in (
        (schedules.polynomial(0.8, begin=1, end=4), "0.8 at epoch 4"),
        (schedules.geometric(0.5), "0.9844 at epoch 6"),  # as far as it was to go
    ):
        prune = kl.Prune(schedule)
        said = said_by(lambda prune=prune: fit(make_model(), data, stop, prune, epochs=6))
        pattern = f"ended after epoch 3 of 6 with .* asks for {asked}.*`start_from_epoch="
        assert_matches(said, [pattern])


@pytest.mark.parametrize("unit, end", [("epoch", 4), ("step", 28)])
@pytest.mark.long
def test_a_loop_of_fits_of_one_epoch(make_model, data, unit, end):
    """What begins anew is said, and what was meant does it."""

    def loop(first):
        model = make_model()
        prune = kl.Prune(schedules.polynomial(0.8, begin=1, end=end), unit=unit)
        for epoch in range(4):
            start = epoch if first else 0
            fit(model, data, prune, initial_epoch=start, epochs=start + 1)
        return prune.lottery.sparsity

    found = []
    said = said_by(lambda: found.append(loop(first=False)))
    unfinished = rf"0\.8 at {unit} {end}.*ends after epoch 1 .*fit\(initial_epoch=epoch, epochs=ep"
    anew = r"begins anew at epoch 0, though .* up to epoch 1 .*fit\(initial_epoch=1, epochs=2\)"
    assert_matches(said, [unfinished, "ended after epoch 1", anew])
    assert_matches(said_by(lambda: found.append(loop(first=True))), [unfinished, "ended after"])
    assert found[0] < 0.5
    assert found[1] == pytest.approx(0.8)


def test_an_endless_schedule_that_begins_anew(make_model, data):
    model, prune = make_model(), kl.Prune(schedules.geometric(0.5))
    assert not said_by(lambda: fit(model, data, prune, epochs=2))
    said = said_by(lambda: [fit(model, data, prune, epochs=2) for _ in range(2)])
    assert_matches(said, [r"begins anew.*sparsity of 0\.75.*initial_epoch=2, epochs=4\)"])
    # Another model is another matter, and so is a new callback.
    assert not said_by(lambda: fit(make_model(), data, prune, epochs=2))
    assert not said_by(lambda: fit(model, data, kl.Prune(schedules.geometric(0.5)), epochs=2))


class MyLogger(keras.callbacks.Callback):
    pass


@pytest.mark.parametrize(
    "make",
    [
        lambda folder: keras.callbacks.CSVLogger(folder / "log.csv"),
        lambda folder: keras.callbacks.TensorBoard(folder),
        lambda folder: keras.callbacks.History(),
        lambda folder: keras.callbacks.ModelCheckpoint(folder / "a.keras", "sparsity", mode="max"),
        lambda folder: keras.callbacks.ReduceLROnPlateau("sparsity", mode="min"),
        lambda folder: MyLogger(),
    ],
)
def test_a_logger_that_comes_before(make_model, data, tmp_path, make):
    model, prune, logger = make_model(), kl.Prune(schedules.constant(0.5)), make(tmp_path)

    def train(*callbacks):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Learning rate reduction is conditioned on")
            return said_by(lambda: fit(model, data, *callbacks, epochs=1))

    name = type(logger).__name__
    assert_matches(train(logger, prune), [f"after {name} in .*not see `sparsity`.*put `Prune` bef"])
    assert not train(logger, prune)  # once
    assert not train(prune, logger)


def test_callbacks_in_a_list_of_ones_own(make_model, data, tmp_path):
    model, prune = make_model(), kl.Prune(schedules.constant(0.5))
    inner = keras.callbacks.CallbackList([prune], model=model, epochs=1, steps=7)
    logger = keras.callbacks.CSVLogger(tmp_path / "log.csv")
    assert_matches(said_by(lambda: fit(model, data, logger, inner, epochs=1)), ["CSVLogger"])


@pytest.mark.long
def test_kl_fit_says_it_too(make_model, data):
    prune = kl.Prune(schedules.polynomial(0.8, begin=1, end=20))
    train = lambda: kl.fit(make_model(), *data, epochs=2, verbose=0, callbacks=[prune])  # noqa: E731
    assert_matches(said_by(train), ["0.8 at epoch 20, and this fit ends after epoch 2", "ended"])


@pytest.mark.parametrize(
    "schedule, settings, text",
    [
        (
            schedules.polynomial(0.8, begin=1, end=4),
            {},
            "<Prune to a sparsity of 0.8 at epoch 4: large_final, layerwise>",
        ),
        (
            schedules.geometric(0.2, every=3),
            {
                "recipe": kl.Recipe(scope="globally"),
                "rewind": kl.rewind.to_start(),
                "unit": "step",
            },
            "<Prune from step 3 on without end: large_final, globally, rewinding everything to "
            "step 0>",
        ),
        (
            schedules.constant(0.5),
            {"overrides": {"output": schedules.constant(0.1)}},
            "<Prune to a sparsity of 0.5 at epoch 0, another in 'output': large_final, layerwise>",
        ),
    ],
)
def test_print(schedule, settings, text):
    assert str(kl.Prune(schedule, **settings)) == text


def test_print_after_a_fit(make_model, data):
    prune = kl.Prune(schedules.constant(0.5))
    fit(make_model(), data, prune, epochs=1)
    assert repr(prune).endswith("layerwise; 0.5 now>")


def test_tensorboard_gets_every_kernel(make_model, data, tmp_path):
    """In a run of its own; the threshold is the lowest weight alive at the end of the epoch."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    from tensorboard.util.tensor_util import make_ndarray

    alive = []

    def look(model, epoch):
        kernel = np.abs(keras.ops.convert_to_numpy(model.get_layer("fc1").kernel))
        alive.append(kernel[kernel > 0].min())

    prune = kl.Prune(schedules.constant(0.5, begin=1))
    fit(make_model(), data, prune, Do(look), keras.callbacks.TensorBoard(tmp_path), epochs=2)
    events = accumulator.EventAccumulator(str(tmp_path / "pruning"))
    events.Reload()

    def read(tag):
        return [float(make_ndarray(event.tensor_proto)) for event in events.Tensors(tag)]

    assert read("sparsity/fc1/kernel") == read("sparsity/output/kernel") == [0, 0.5]
    np.testing.assert_allclose(read("threshold/fc1/kernel"), alive, rtol=1e-6)
    assert len(read("threshold/output/kernel")) == 2

"""Wires that move: exact counts at every update, in `fit` and in `keras_lottery.fit`."""

import keras
import numpy as np
import pytest

import keras_lottery as kl
from keras_lottery.core import schedules

X = np.random.default_rng(0).normal(size=(48, 12)).astype("float32")
Y = np.arange(48) % 3
STEPS = [3, 6, 9, 12, 15, 18, 21]  # 8 steps an epoch, 4 epochs, until 0.75 * 32 = 24


def network(optimizer="adam"):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((12,)),
            keras.layers.Dense(20, "relu", name="fc1"),
            keras.layers.Dense(8, "relu", name="fc2"),
            keras.layers.Dense(3, "softmax", name="output"),
        ]
    )
    model.compile(optimizer, "sparse_categorical_crossentropy")
    return model


def fit(model, *callbacks, epochs=4, **arguments):
    return model.fit(
        X, Y, batch_size=6, epochs=epochs, shuffle=False, verbose=0, callbacks=list(callbacks),
        **arguments,
    )  # fmt: skip


class Watch(keras.callbacks.Callback):
    """The masks before every step."""

    def __init__(self):
        super().__init__()
        self.masks = []

    def on_train_batch_begin(self, batch, logs=None):
        self.masks.append({n: m.copy() for n, m in kl.Lottery.on(self.model).masks.items()})


def counts(masks):
    return {name: int(mask.sum()) for name, mask in masks.items()}


@pytest.mark.parametrize("grow", ["random", "gradient"])
def test_counts_are_constant_at_every_update(grow):
    rewire = kl.Rewire(0.8, grow=grow, every=3, data=(X, Y) if grow == "gradient" else None)
    watch = Watch()
    history = fit(network(), rewire, watch)
    assert rewire.steps == STEPS
    assert all(counts(masks) == counts(watch.masks[0]) for masks in watch.masks)
    changed = [
        step
        for step in range(1, len(watch.masks))
        if any(np.any(watch.masks[step][n] != m) for n, m in watch.masks[step - 1].items())
    ]
    assert set(changed) <= set(STEPS) and len(changed) >= 5
    total = sum(mask.size for mask in watch.masks[0].values())
    assert sum(counts(watch.masks[0]).values()) == pytest.approx(0.2 * total, abs=1)
    assert history.history["sparsity"] == pytest.approx([0.8] * 4, abs=0.01)
    rewire.lottery.check()


def test_the_fraction_falls_by_a_cosine(monkeypatch):
    """0.3 / 2 * (1 + cos(pi * t / 24)): 0.15 in the middle."""
    asked = {}
    original = kl.Lottery.rewire

    def noting(self, fraction, **arguments):
        asked[len(asked)] = fraction
        original(self, fraction, **arguments)

    monkeypatch.setattr(kl.Lottery, "rewire", noting)
    fit(network(), kl.Rewire(0.5, every=12, until=0.75))
    assert asked == {0: pytest.approx(0.15)}


def test_starts():
    """85 of 424 weights, in proportion to 12 + 20, 20 + 8 and 8 + 3 where they go by ERK."""
    uniform, erk = kl.Rewire(0.8, start="uniform"), kl.Rewire(0.8, start="erk")
    for rewire in (uniform, erk):
        fit(network(), rewire, epochs=1)
    assert uniform.lottery.alive_counts == {"fc1/kernel": 48, "fc2/kernel": 32, "output/kernel": 5}
    kept = erk.lottery.alive_counts
    assert kept == {"fc1/kernel": 38, "fc2/kernel": 34, "output/kernel": 13}


def test_it_starts_from_a_ticket():
    model = network()
    prune = kl.Prune(schedules.constant(0.7, begin=1))
    fit(model, prune, epochs=2)
    ticket = prune.ticket
    rewire, watch = kl.Rewire(None, start=ticket, every=3), Watch()
    other = network()
    fit(other, rewire, watch)
    for name, mask in ticket.masks.items():
        np.testing.assert_array_equal(watch.masks[0][name], mask)
    assert rewire.lottery.alive_counts == counts(ticket.masks)
    assert rewire.ticket.metadata["search"]["start"] == "ticket"


def test_keras_lottery_fit_stops_where_wires_move():
    plain, fused = network(), network()
    first, second = (kl.Rewire(0.8, grow="gradient", data=(X, Y), every=3) for _ in range(2))
    fit(plain, first)
    kl.fit(fused, X, Y, batch_size=6, epochs=4, shuffle=False, verbose=0, callbacks=[second])
    assert first.steps == second.steps == STEPS
    for name, mask in first.lottery.masks.items():
        np.testing.assert_array_equal(mask, second.lottery.masks[name])
    for one, other in zip(plain.get_weights(), fused.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_steps_per_execution():
    model = network()
    model.compile("adam", "sparse_categorical_crossentropy", steps_per_execution=2)
    rewire = kl.Rewire(0.8, every=3)
    if keras.backend.backend() == "torch":
        pytest.skip("Keras on torch runs one step an execution")
    fit(model, rewire)
    assert rewire.steps == [4, 6, 10, 12, 16, 18, 22]


def test_an_interrupted_training_ends_as_if_nothing_had_happened(tmp_path):
    class Die(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    def run(folder, *others):
        folder.mkdir(exist_ok=True)
        model = network()
        kept = keras.callbacks.BackupAndRestore(folder / "weights")
        rewire = kl.Rewire(0.8, every=4, backup=str(folder / "masks"))
        fit(model, rewire, kept, *others)
        return model, rewire

    whole, expected = run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "killed", Die())
    resumed, found = run(tmp_path / "killed")
    assert found.steps == [16, 20]
    for name, mask in expected.lottery.masks.items():
        np.testing.assert_array_equal(mask, found.lottery.masks[name])
    for one, other in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_its_place_before_the_backup_of_the_weights(tmp_path):
    rewire = kl.Rewire(0.8, every=4, backup=str(tmp_path / "masks"))
    kept = keras.callbacks.BackupAndRestore(tmp_path / "weights")
    with pytest.warns(UserWarning, match="`Rewire` comes after BackupAndRestore in `callbacks`"):
        fit(network(), kept, rewire, epochs=1)


def test_the_same_seed_moves_the_same_wires():
    rewires = [kl.Rewire(0.8, every=3, seed=seed) for seed in (1, 1, 2)]
    for rewire in rewires:
        fit(network(), rewire)
    masks = [np.concatenate([m.ravel() for m in r.lottery.masks.values()]) for r in rewires]
    np.testing.assert_array_equal(masks[0], masks[1])
    assert np.any(masks[0] != masks[2])


def test_what_a_ticket_says():
    rewire = kl.Rewire(0.8, grow="gradient", data=(X, Y), every=3)
    fit(network(), rewire)
    search = rewire.ticket.metadata["search"]
    assert search["door"] == "Rewire" and search["grow"] == "gradient"
    assert (search["every"], search["until"], search["start"]) == (3, 0.75, "erk")
    assert len(search["data"]) == 16
    assert "growing by gradient" in repr(rewire)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"sparsity": 1.0}, r"`sparsity` must be in \(0, 1\), received 1.0"),
        ({"sparsity": 0.5, "fraction": 0}, r"`fraction` must be in \(0, 1\), received 0"),
        ({"sparsity": 0.5, "until": 1.5}, r"`until` must be in \(0, 1\], received 1.5"),
        ({"sparsity": 0.5, "every": 0}, "`every` must be a positive number of steps, received 0"),
        (
            {"sparsity": 0.5, "start": "ERK"},
            "`start` must be erk or uniform, or a Ticket",
        ),
        ({"sparsity": 0.5, "grow": "gradient"}, "'gradient' measures the model: give `data`"),
        ({"sparsity": 0.5, "data": (X, Y)}, "no criterion looks at it"),
        ({"sparsity": 0.5, "recipe": kl.Recipe(scope="globally")}, "in scope 'layerwise' only"),
        (
            {"sparsity": 0.5, "recipe": kl.Recipe(granularity=kl.granularity.n_of_m(2, 4))},
            "cannot grow what was pruned",
        ),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        kl.Rewire(**arguments)


def test_refused_in_fit():
    with pytest.raises(ValueError, match="give `steps_per_epoch`"):
        network().fit(
            ((X[:6], Y[:6]) for _ in range(2)), callbacks=[kl.Rewire(0.5)], verbose=0, shuffle=False
        )
    early = keras.callbacks.EarlyStopping("loss", restore_best_weights=True)
    with pytest.raises(ValueError, match="write `start_from_epoch=3`"):
        fit(network(), kl.Rewire(0.5), early)
    with pytest.raises(ValueError, match="Training goes on from epoch 1, and there are no masks"):
        fit(network(), kl.Rewire(0.5), initial_epoch=1)
    with pytest.raises(ValueError, match="is not sparse: say how sparse"):
        fit(network(), kl.Rewire(None))
    model = network()
    fit(model, kl.Rewire(0.5), epochs=1)
    with pytest.raises(ValueError, match=r"has masks of 0.5 already: give None"):
        fit(model, kl.Rewire(0.8), epochs=1)


def test_a_ticket_is_not_passed_over_where_there_are_masks():
    ticket = kl.Ticket.of(kl.Lottery(network()))
    model = network()
    kl.Lottery(model).prune(0.5)
    with pytest.raises(ValueError, match=r"`start` is a ticket, .* has masks already: use `strip"):
        fit(model, kl.Rewire(None, start=ticket))


def test_dead_weights_that_grow_start_at_zero_with_new_slots():
    """And live ones go on: only what changed in the masks changes in the slots."""
    model, seen = network(), {}

    class Look(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            lottery = kl.Lottery.on(self.model)
            before = seen.get("masks")
            mask = lottery.masks["fc1/kernel"]
            kernel = keras.ops.convert_to_numpy(self.model.layers[0].kernel)
            if before is not None and np.any(mask & ~before):
                assert np.all(kernel[mask & ~before] == 0)
                seen["grown"] = True
            seen["masks"] = mask.copy()

    fit(model, kl.Rewire(0.8, every=3), Look(), epochs=2)
    assert seen["grown"]

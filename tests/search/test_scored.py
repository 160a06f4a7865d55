"""Masks that train: what every way promises."""

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import keras_lottery as kl

X = np.random.default_rng(0).normal(size=(96, 6)).astype("float32")
Y = (X @ np.random.default_rng(1).normal(size=(6, 3))).argmax(1)

WAYS = {
    "edge_popup": lambda model, **given: kl.scored.edge_popup(model, 0.5, **given),
    "edge_popup globally": lambda model, **given: kl.scored.edge_popup(
        model, 0.7, scope="globally", scale_fan=True, **given
    ),
    "biprop": lambda model, **given: kl.scored.biprop(model, 0.5, **given),
    "supermask": lambda model, **given: kl.scored.supermask(model, **given),
    "supermask sampled": lambda model, **given: kl.scored.supermask(
        model, end="sampled", rescale=False, restart_from="signed_constant", **given
    ),
}


@pytest.fixture(params=WAYS)
def way(request):
    return WAYS[request.param]


def network():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(16, "relu", name="fc1"),
            keras.layers.BatchNormalization(name="bn"),
            keras.layers.Dropout(0.1, seed=1),
            keras.layers.Dense(3, "softmax", name="output"),
        ]
    )


def compiled(search, rate=0.1):
    optimizer = keras.optimizers.SGD(rate, momentum=0.9)
    search.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return search


def arrays(variables):
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


def train(search, epochs=3, fit=None):
    arguments = {"batch_size": 16, "epochs": epochs, "verbose": 0}
    return (fit or type(search).fit)(search, X, Y, **arguments)


@pytest.mark.parametrize("fit", [None, kl.fit], ids=["fit", "keras_lottery.fit"])
def test_only_scores_are_trained(way, fit):
    model = network()
    before = arrays(model.trainable_variables)
    layers = [type(layer) for layer in model.layers]
    search = compiled(way(model))
    scores = search.scores
    train(search, fit=fit)
    for one, other in zip(before, arrays(model.trainable_variables), strict=True):
        assert_array_equal(one, other)
    assert all(np.any(scores[name] != after) for name, after in search.scores.items())
    statistics = arrays([model.get_layer("bn").moving_mean])[0]
    assert np.all(statistics != 0), "normalisation has seen nothing"
    assert [type(layer) for layer in model.layers] == layers
    assert kl.Lottery.on(model) is None
    assert all(variable.trainable for variable in model.trainable_variables)


def test_its_ticket_computes_the_same(way):
    search = compiled(way(network()))
    train(search)
    other = network()
    lottery = search.ticket.apply(other)
    lottery.check()
    assert lottery.sparsity == pytest.approx(search.sparsity)
    if search.ticket.metadata["search"].get("end") != "sampled":  # that draws anew
        assert_allclose(
            other.predict(X, verbose=0), search.predict(X, verbose=0), rtol=1e-4, atol=1e-6
        )
    kernel = keras.ops.convert_to_numpy(kl.strip(other).get_layer("fc1").kernel)
    assert np.mean(kernel == 0) == pytest.approx(1 - search.masks["fc1/kernel"].mean())


def test_a_ticket_is_saved_compared_and_says_what_found_it(way, tmp_path):
    search = way(network(), seed=3)
    ticket = search.ticket
    ticket.save(tmp_path / "a.ticket")
    loaded = kl.Ticket.load(tmp_path / "a.ticket")
    assert loaded.metadata == ticket.metadata
    assert loaded.metadata["search"]["door"] in search.name
    assert loaded.metadata["seed"] == 3
    assert loaded.compare(ticket).overall.jaccard == 1


@pytest.mark.long
def test_the_seed_decides(way):
    searches = [compiled(way(network(), seed=seed)) for seed in (1, 1, 2)]
    for search in searches:
        keras.utils.set_random_seed(5)
        train(search)
    masks = [search.masks["fc1/kernel"] for search in searches]
    assert_array_equal(masks[0], masks[1])
    assert np.any(masks[0] != masks[2])


def test_counts_are_exact_in_every_epoch():
    class Look(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            found = self.model.masks
            assert {n: int(m.sum()) for n, m in found.items()} == {
                "fc1/kernel": 29,
                "output/kernel": 14,
            }

    search = compiled(kl.scored.edge_popup(network(), 0.7))
    search.fit(X, Y, epochs=3, verbose=0, callbacks=[Look()])
    together = kl.scored.edge_popup(network(), 0.7, scope="globally")
    assert sum(int(mask.sum()) for mask in together.masks.values()) == 43


def test_masks_learn_something():
    """The weights are as they were drawn: chance is a third."""
    search = compiled(kl.scored.edge_popup(network(), 0.5))
    history = train(search, epochs=30).history
    assert history["accuracy"][-1] > 0.6


# Refused.


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda m: kl.scored.edge_popup(m, 1.0), r"`sparsity` must be in \[0, 1\), received 1.0"),
        (lambda m: kl.scored.edge_popup(m, 0.999), "leaves no weight of fc1/kernel, output/kernel"),
        (lambda m: kl.scored.biprop(m, 0.5, scope="erdos_renyi"), "`scope` must be 'layerwise'"),
        (lambda m: kl.scored.supermask(m, end="round"), "`end` must be 'rounded' or 'sampled'"),
        (lambda m: kl.scored.supermask(m, include="nothing"), "Nothing matched"),
        (lambda m: kl.scored.supermask(m, restart_from="rewnd"), "No 'rewnd' in restart_from"),
        (
            lambda m: kl.scored.supermask(keras.Sequential([keras.layers.Dense(2)])),
            "has no variables yet",
        ),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make(network())


def test_a_model_with_masks_is_refused():
    model = network()
    kl.Lottery(model).prune(0.5)
    with pytest.raises(ValueError, match="has masks: use `strip"):
        kl.scored.edge_popup(model, 0.5)

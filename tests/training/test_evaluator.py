import keras
import numpy as np
import pytest
import tiny

import keras_lottery as kl
from keras_lottery.training import evaluator


class Record(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.calls = []

    def on_test_batch_begin(self, batch, logs=None):
        self.calls.append(batch)

    def on_test_batch_end(self, batch, logs=None):
        self.calls.append(batch)

    def on_test_end(self, logs=None):
        self.calls.append(sorted(logs))


@pytest.mark.parametrize("weights", [None, np.linspace(0, 1, 50)])
def test_equals_model_evaluate_whenever_it_is_called(weights):
    x, y = tiny.samples()
    model = tiny.dense()
    arguments = {"batch_size": 8, "sample_weight": weights}
    evaluate = evaluator(model, x, y, chunk=2, **arguments)
    for _ in range(2):
        expected = model.evaluate(x, y, return_dict=True, verbose=0, **arguments)
        assert evaluate() == pytest.approx(expected, abs=1e-6)
        model.set_weights([2 * weight for weight in model.get_weights()])


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="model.evaluate elsewhere")
def test_test_hooks_come_between_chunks():
    model, record = tiny.dense(), Record()
    evaluate = evaluator(model, *tiny.samples(), batch_size=8, chunk=4)
    evaluate(keras.callbacks.CallbackList([record], model=model))
    assert record.calls == [0, 3, 4, 6, ["accuracy", "loss"]]


def test_a_metric_of_every_class_is_an_array():
    x, y = tiny.samples()
    model = tiny.dense()
    model.compile(loss="categorical_crossentropy", metrics=[keras.metrics.F1Score()])
    y = np.eye(tiny.CLASSES)[y]
    expected = model.evaluate(x, y, return_dict=True, verbose=0)["f1_score"]
    np.testing.assert_allclose(evaluator(model, x, y)()["f1_score"], expected)


def test_an_evaluate_of_its_own_is_used():
    class Own(keras.Sequential):
        def evaluate(self, *data, **arguments):
            return {"own": 1.0}

    model = Own([keras.Input((6,)), keras.layers.Dense(1)])
    model.compile(loss="mse")
    assert evaluator(model, *tiny.samples())() == {"own": 1.0}


def test_what_cannot_be_fused_is_evaluated_by_the_model():
    x, y = tiny.samples()
    model = tiny.dense(run_eagerly=True)
    assert evaluator(model, x, y)()["loss"] > 0


@pytest.mark.parametrize("eagerly", [True, False])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "`batch_size` must be at least 1 sample: received 0"),
        ({"chunk": 0}, "`chunk` must be at least 1 step: received 0"),
    ],
)
def test_wrong_sizes_are_named(arguments, message, eagerly):
    with pytest.raises(ValueError, match=message):
        evaluator(tiny.dense(run_eagerly=eagerly), *tiny.samples(), **arguments)


def test_batches_are_as_large_as_those_of_model_evaluate_where_no_size_is_given():
    x, y = tiny.samples()
    record = Record()
    evaluate = evaluator(tiny.dense(), x, y, batch_size=None, chunk=1)
    evaluate(keras.callbacks.CallbackList([record], model=tiny.dense()))
    assert record.calls[:-1] == [0, 0, 1, 1]


def compiled_without_metrics():
    return tiny.dense(metrics=())


def test_metrics_of_its_own_are_computed_beside_the_loss():
    x, y = tiny.samples()
    model = compiled_without_metrics()
    evaluate = evaluator(model, x, y, batch_size=8, metrics=["accuracy"])
    for _ in range(2):
        hits = model.predict(x, verbose=0).argmax(-1) == y
        expected = {"loss": model.evaluate(x, y, verbose=0), "accuracy": hits.mean()}
        assert evaluate() == pytest.approx(expected, abs=1e-6)
        model.set_weights([-weight for weight in model.get_weights()])


def test_metrics_of_its_own_leave_those_of_the_model_alone():
    x, y = tiny.samples()
    model = tiny.dense()
    expected = model.evaluate(x, y, return_dict=True, verbose=0)
    variables = list(model.variables)
    evaluator(model, x[:9], y[:9], metrics=[keras.metrics.SparseTopKCategoricalAccuracy(2)])()
    results = {name: float(value) for name, value in model.get_metrics_result().items()}
    assert results == pytest.approx(expected, abs=1e-6)
    assert list(map(id, model.variables)) == list(map(id, variables))


def test_masks_do_not_take_an_evaluation_for_a_training():
    x, y = tiny.samples()
    model = compiled_without_metrics()
    lottery = kl.Lottery(model)
    lottery.prune(0.5)
    evaluate = evaluator(model, x, y, metrics=["accuracy"])
    model.fit(x, y, verbose=0)
    assert evaluate()["loss"] == pytest.approx(model.evaluate(x, y, verbose=0))
    lottery.check()
    kl.strip(model)


def test_metrics_for_a_model_that_evaluates_by_itself_are_refused():
    class Own(keras.Sequential):
        def test_step(self, *arguments):
            return super().test_step(*arguments)

    model = Own([keras.Input((6,)), keras.layers.Dense(1)])
    model.compile(loss="mse")
    with pytest.raises(ValueError, match="which has its own test_step"):
        evaluator(model, *tiny.samples(), metrics=["mae"])

"""`Settings`: what decides the results of an experiment, in one record that becomes JSON and back.

`make` is the way to a record: it fills in what the network's preset says. Its arguments are the
flags of the scripts and the keys of a study.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import keras_lottery as kl
from experiments import networks
from experiments.networks import Optimizer


@dataclasses.dataclass(frozen=True)
class Images:
    """The images of an experiment, by name.

    Args:
        name: As for `datasets.load`.
        examples: The largest number of training and of test images, or `None`.
        standardize: Whether every channel gets mean 0 and deviation 1.
    """

    name: str = "digits"
    examples: int | None = None
    standardize: bool = False


@dataclasses.dataclass(frozen=True)
class Training:
    """How a network is trained, whatever is pruned.

    Args:
        network: A file of `experiments/networks`.
        optimizer: The optimizer.
        iterations: Training steps of one network.
        batch_size: Images in a step.
        validation: The largest number of training images to set aside; it is at most a fifth.
        evaluate_every: Iterations between two evaluations.
        dropout: The rate of dropout after every hidden activation.
        augmentation: Names of `augmentation.LAYERS`, in their order.
        fused: As for `kl.fit`.
        backend: The Keras backend.
    """

    network: str
    optimizer: Optimizer
    iterations: int
    batch_size: int
    validation: int = 5_000
    evaluate_every: int = 100
    dropout: float = 0.0
    augmentation: tuple[str, ...] = ()
    fused: str = "auto"
    backend: str = "tensorflow"

    def to_json(self) -> dict[str, Any]:
        """The settings that are not the default ones, so that a new setting changes no old name."""
        return without_defaults(self) | {"optimizer": without_defaults(self.optimizer)}


@dataclasses.dataclass(frozen=True)
class Settings:
    """What decides the results of an experiment.

    Args:
        images: The images.
        training: How each network is trained.
        method: A file of `experiments/methods`: the way in which tickets are looked for.
        recipe: How weights are ranked, dropped and restarted.
        rounds: The number of prunings.
        rate: The fraction of the live weights that a round prunes.
        overrides: Other rates by a regular expression on the kernel's name.
        rewind: Where to rewind to, as `policies.rewind_policy` reads it.
        controls: The rounds that have controls, by the control's name.
        scored_images: Training images that a scorer measures with, as many of each class.
        grow: What grows where wires move.
        scores_learning_rate: The learning rate of scores where masks train, if it is another.
        seeds: The seeds to repeat everything with.
    """

    images: Images
    training: Training
    method: str
    recipe: kl.Recipe
    rounds: int
    rate: float
    overrides: Mapping[str, float]
    rewind: str
    controls: Mapping[str, tuple[int, ...]]
    scored_images: int
    grow: str
    scores_learning_rate: float | None
    seeds: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        """The settings as JSON, from which `from_json` makes an equal record."""
        return {
            **{field.name: getattr(self, field.name) for field in dataclasses.fields(self)},
            "images": dataclasses.asdict(self.images),
            "training": dataclasses.asdict(self.training),
            "recipe": self.recipe.to_json(),
            "overrides": dict(self.overrides),
            "controls": {kind: list(rounds) for kind, rounds in self.controls.items()},
            "seeds": list(self.seeds),
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Settings:
        """Make the record of what `to_json` wrote."""
        training = dict(record["training"])
        training["optimizer"] = Optimizer(**training["optimizer"])
        training["augmentation"] = tuple(training["augmentation"])
        return cls(
            **{
                **record,
                "images": Images(**record["images"]),
                "training": Training(**training),
                "recipe": kl.Recipe.from_json(record["recipe"]),
                "controls": {kind: tuple(chosen) for kind, chosen in record["controls"].items()},
                "seeds": tuple(record["seeds"]),
            }
        )


def make(
    *,
    dataset: str = "digits",
    examples: int | None = None,
    standardize: bool = False,
    network: str | None = None,
    optimizer: str | None = None,
    learning_rate: float | None = None,
    weight_decay: float | None = None,
    iterations: int | None = None,
    scale: float = 1.0,
    batch_size: int | None = None,
    dropout: float = 0.0,
    augmentation: Sequence[str] = (),
    fused: str = "auto",
    method: str = "iterative",
    criterion: str = "large_final",
    scope: str | None = None,
    granularity: str = "weights",
    restart_from: str = "rewind",
    hold_at: str = "zero",
    rounds: int = 15,
    rate: float | None = None,
    rewind: str = "start",
    controls: Sequence[str] | None = None,
    control_rounds: Sequence[int | str] = (),
    scored_images: int = 256,
    grow: str = "gradient",
    scores_learning_rate: float | None = None,
    seed: int = 0,
    seeds: int = 1,
) -> Settings:
    """Make the `Settings` of an experiment; what is `None` is as the network's preset says.

    The arguments are the flags of `experiments/flags.py`, which describes them.

    Raises:
        ValueError: A value is wrong; the message names it and those that are right.
    """
    import keras

    from experiments import augmentation as augmentations
    from experiments import methods, policies

    if keras.distribution.distribution() is not None:
        raise ValueError(
            "Experiments train one network in one process, and a keras.distribution is set: take "
            "several processes for several networks, each without one."
        )
    network = network or network_for(dataset)
    preset = networks.get(network).PRESET
    for name, value, lowest in (
        ("rounds", rounds, 1),
        ("seeds", seeds, 1),
        ("seed", seed, 0),
        ("iterations", iterations, 1),
        ("batch_size", batch_size, 1),
        ("examples", examples, 10),
        ("scored_images", scored_images, 1),
    ):
        if value is not None and (type(value) is not int or value < lowest):
            raise ValueError(f"`{name}` must be an integer of {lowest} or more, received {value!r}")
    for name, value in (("rate", rate), ("dropout", dropout)):
        if value is not None and not 0 <= value <= 1:
            raise ValueError(f"`{name}` must be between 0 and 1, received {value!r}.")
    augmentations.check(augmentation)
    used = methods.get(method).USES
    searched = {
        "criterion": criterion,
        "scope": scope,
        "granularity": granularity,
        "restart_from": restart_from,
        "hold_at": hold_at,
        "rounds": rounds,
        "rate": rate,
        "rewind": rewind,
        "controls": controls or None,
        "control_rounds": tuple(control_rounds),
        "scored_images": scored_images,
        "grow": grow,
        "scores_learning_rate": scores_learning_rate,
    }
    for name, value in searched.items():
        if name not in used and value != _DEFAULTS[name]:
            raise ValueError(f"`{name}` does not matter to method {method!r}: leave it out.")
    if controls is None:
        controls = ("reinit",) if "controls" in used else ()
    if fused not in ("auto", "always", "never"):
        raise ValueError(f"`fused` must be auto, always or never, received {fused!r}.")
    chosen = preset.optimizer
    if optimizer is not None and optimizer != chosen.name:
        if learning_rate is None:
            raise ValueError(
                f"`optimizer`={optimizer!r} needs a `learning_rate`: that of {network}'s preset is "
                f"for {chosen.name}."
            )
        chosen = dataclasses.replace(chosen, name=optimizer)
    if learning_rate is not None:
        chosen = dataclasses.replace(chosen, learning_rate=learning_rate)
    if weight_decay is not None:
        chosen = dataclasses.replace(chosen, weight_decay=weight_decay)
    training = Training(
        network=network,
        optimizer=chosen,
        iterations=iterations or max(1, round(preset.iterations * scale)),
        batch_size=batch_size or preset.batch_size,
        validation=preset.validation,
        evaluate_every=preset.evaluate_every,
        dropout=float(dropout),
        augmentation=tuple(augmentation),
        fused=fused,
        backend=keras.backend.backend(),
    )
    chosen.make(training.iterations)  # An unknown one is refused before anything is trained.
    rate = preset.rate if rate is None else float(rate)
    settings = Settings(
        images=Images(dataset, examples, bool(standardize)),
        training=training,
        method=method,
        recipe=kl.Recipe(
            criterion,
            scope=scope or preset.scope,
            granularity=policies.granularity(granularity),
            restart_from=restart_from,
            hold_at=hold_at,
            exclude=preset.exclude,
        ),
        rounds=rounds,
        rate=rate,
        overrides={
            pattern: min(1.0, other * (rate / preset.rate))
            for pattern, other in preset.overrides.items()
        },
        rewind=rewind,
        controls=policies.controls(controls, control_rounds, rounds),
        scored_images=scored_images,
        grow=grow,
        scores_learning_rate=scores_learning_rate,
        seeds=tuple(range(seed, seed + seeds)),
    )
    kl.scorers.resolve(settings.recipe.criterion)
    kl.scorers.resolve(grow)
    kl.rewind.check(policies.rewind_policy(rewind), settings.recipe)
    return settings


# What `make` has for the settings of a search that are not given.
_DEFAULTS = {name: one.default for name, one in inspect.signature(make).parameters.items()}


def network_for(dataset: str) -> str:
    """Return the network that a data set is tried on first.

    >>> network_for("digits"), network_for("mnist")
    ('digits_mlp', 'lenet_300_100')
    """
    return "digits_mlp" if dataset == "digits" else "lenet_300_100"


def without_defaults(record: Any) -> dict[str, Any]:
    """The fields of a record whose values are not the default ones, as JSON.

    >>> without_defaults(Images("mnist"))
    {'name': 'mnist'}
    """
    return {
        field.name: list(value) if isinstance(value, tuple) else value
        for field in dataclasses.fields(record)
        if (value := getattr(record, field.name)) != field.default
    }

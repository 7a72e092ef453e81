"""A small network over the meaning and the roles of a sentence, trained and kept as plain numbers.

One hidden layer, three tasks: whether a sentence is violence, which kind, and whether it reports
violence. A linear model cannot tell "kill them" from "do not kill them" where both words are the
same direction of an embedding; over sources left out, the network ranks better (see the card).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, softmax

__all__ = ["KINDS", "Answers", "Network", "Recipe", "train_network"]

#: Kinds of violence in words, in the order of the outputs.
KINDS = ("threat", "incitement", "glorification", "instruction")
_HARM, _KIND, _REPORT = 0, slice(1, 1 + len(KINDS)), 1 + len(KINDS)
_OUTPUTS = 2 + len(KINDS)

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class Answers:
    """What the network says of n sentences.

    Attributes:
        odds: Raw log-odds of violence, shape (n,).
        kinds: Share of each kind if it is violence, shape (n, 4), rows sum to 1.
        reports: Raw log-odds that it reports violence, shape (n,).
    """

    odds: Floats
    kinds: Floats
    reports: Floats


@dataclass(frozen=True, slots=True)
class Recipe:
    """How networks are trained.

    Attributes:
        hidden: Units of the hidden layer.
        members: Networks whose outputs are averaged.
        epochs: Passes over the data.
        rate: Step of Adam (Kingma, Ba 2015), falling to 0 along a cosine.
        decay: Decoupled weight decay (Loshchilov, Hutter 2019).
        dropout: Share of hidden units dropped in a step (Srivastava et al. 2014).
        noise: Standard deviation of the noise on standardised inputs.
    """

    hidden: int = 64
    members: int = 3
    epochs: int = 20
    rate: float = 2e-3
    decay: float = 1e-2
    dropout: float = 0.4
    noise: float = 0.7


@dataclass(frozen=True, eq=False, slots=True)
class Network:
    """The trained network; an ensemble is one network with all hidden units side by side.

    Attributes:
        centre: Mean of each feature, shape (d,).
        scale: Standard deviation of each feature, shape (d,).
        first: Weights of the hidden layer, shape (d, h).
        first_bias: Shape (h,).
        second: Weights of the outputs, shape (h, 6).
        second_bias: Shape (6,).
    """

    centre: Floats
    scale: Floats
    first: Floats
    first_bias: Floats
    second: Floats
    second_bias: Floats

    def answer(self, features: ArrayLike) -> Answers:
        """Answers for features of shape (n, d); a narrower network reads the last ones."""
        given = np.asarray(features, dtype=np.float64)[:, -len(self.centre) :]
        standard = (given - self.centre) / self.scale
        out = np.maximum(standard @ self.first + self.first_bias, 0.0) @ self.second
        out += self.second_bias
        return Answers(out[:, _HARM], softmax(out[:, _KIND], axis=1), out[:, _REPORT])

    def as_tensors(self) -> dict[str, NDArray[Any]]:
        """The numbers that an artifact keeps."""
        return {
            name: np.asarray(getattr(self, name), dtype=np.float32)
            for name in ("centre", "scale", "first", "first_bias", "second", "second_bias")
        }

    @classmethod
    def restore(cls, tensors: dict[str, NDArray[Any]]) -> Self:
        """Make the network again of what ``as_tensors`` gave."""
        return cls(**{name: held.astype(np.float64) for name, held in tensors.items()})


def train_network(
    features: ArrayLike, kinds: Sequence[str], weights: ArrayLike, recipe: Recipe, seed: int
) -> Network:
    """Train members and put them side by side.

    Args:
        features: Shape (n, d).
        kinds: One of ``KINDS``; ``veiled``, a threat without its words; ``violence`` and
            ``graphic`` where the kind is not known; ``news``; all else is harmless.
        weights: How much each example counts, shape (n,).
        recipe: How to train.
        seed: Seed of the first member.
    """
    given = np.asarray(features, dtype=np.float32)
    centre, scale = given.mean(axis=0), given.std(axis=0) + 1e-6
    standard = (given - centre) / scale
    targets = _targets(kinds)
    share = np.asarray(weights, dtype=np.float32)
    share = share / share.mean()
    first, first_bias, second, second_bias = _trained(standard, targets, share, recipe, seed)
    return Network(
        centre.astype(np.float64),
        scale.astype(np.float64),
        first.astype(np.float64),
        first_bias.astype(np.float64),
        second.reshape(-1, _OUTPUTS).astype(np.float64) / recipe.members,
        second_bias.mean(axis=0).astype(np.float64),
    )


def _targets(kinds: Sequence[str]) -> NDArray[np.float32]:
    """Targets of the outputs; NaN where an output is not told."""
    made = np.zeros((len(kinds), _OUTPUTS), dtype=np.float32)
    for row, told in zip(made, kinds, strict=True):
        kind = "threat" if told == "veiled" else told
        harmful = kind in KINDS or kind in ("violence", "graphic")
        row[_HARM] = harmful
        row[_KIND] = [kind == one for one in KINDS] if kind in KINDS else np.nan
        row[_REPORT] = kind == "news"
    return made


#: Weight of the tasks beside the main one.
_SIDE = 0.3


def _trained(
    inputs: NDArray[np.float32],
    targets: NDArray[np.float32],
    weights: NDArray[np.float32],
    recipe: Recipe,
    seed: int,
) -> list[NDArray[np.float32]]:
    """Weights and biases of all members, by Adam on the sum of their weighted cross-entropies.

    Members see the same batches with the same noise; they differ by their start and by what
    dropout leaves them.
    """
    rng = np.random.default_rng(seed)
    width, members = inputs.shape[1], recipe.members
    units = members * recipe.hidden
    held = [
        rng.normal(0, np.sqrt(2 / width), (width, units)).astype(np.float32),
        np.zeros(units, dtype=np.float32),
        rng.normal(0, np.sqrt(1 / recipe.hidden), (members, recipe.hidden, _OUTPUTS)).astype(
            np.float32
        ),
        np.zeros((members, _OUTPUTS), dtype=np.float32),
    ]
    first = [np.zeros_like(one) for one in held]
    second = [np.zeros_like(one) for one in held]
    batch = 256
    steps = recipe.epochs * -(-len(inputs) // batch)
    step = 0
    for _ in range(recipe.epochs):
        order = rng.permutation(len(inputs))
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            step += 1
            slopes = _slopes(held, inputs[chosen], targets[chosen], weights[chosen], recipe, rng)
            rate = recipe.rate * 0.5 * (1 + np.cos(np.pi * step / steps))
            for place, slope in enumerate(slopes):
                first[place] += 0.1 * (slope - first[place])
                second[place] += 0.001 * (slope * slope - second[place])
                mean = first[place] / (1 - 0.9**step)
                square = second[place] / (1 - 0.999**step)
                held[place] -= rate * (mean / (np.sqrt(square) + 1e-8) + recipe.decay * held[place])
    return held


def _slopes(
    held: list[NDArray[np.float32]],
    inputs: NDArray[np.float32],
    targets: NDArray[np.float32],
    weights: NDArray[np.float32],
    recipe: Recipe,
    rng: np.random.Generator,
) -> list[NDArray[np.float32]]:
    """Gradients of the loss of a batch."""
    noisy = inputs + np.float32(recipe.noise) * rng.standard_normal(inputs.shape, dtype=np.float32)
    raw = noisy @ held[0] + held[1]
    kept = (rng.random(raw.shape, dtype=np.float32) >= recipe.dropout) * np.float32(
        1 / (1 - recipe.dropout)
    )
    # By member: shape (members, n, hidden), so that each is one product of matrices.
    shape = (len(inputs), recipe.members, recipe.hidden)
    hidden = (np.maximum(raw, 0) * kept).reshape(shape).swapaxes(0, 1)
    out = hidden @ held[2] + held[3][:, None]
    wrong = np.zeros_like(out)
    wrong[..., _HARM] = expit(out[..., _HARM]) - targets[:, _HARM]
    wrong[..., _REPORT] = _SIDE * (expit(out[..., _REPORT]) - targets[:, _REPORT])
    wrong[..., _KIND] = _SIDE * np.nan_to_num(softmax(out[..., _KIND], axis=-1) - targets[:, _KIND])
    wrong *= weights[:, None] / len(inputs)
    back = (wrong @ held[2].swapaxes(1, 2)).swapaxes(0, 1).reshape(raw.shape) * kept * (raw > 0)
    return [
        np.asarray(one, dtype=np.float32)
        for one in (
            noisy.T @ back,
            back.sum(axis=0),
            hidden.swapaxes(1, 2) @ wrong,
            wrong.sum(axis=1),
        )
    ]

"""TF-IDF over words and parts of words with logistic regression, kept without pickle.

The vocabulary is JSON, the numbers are safetensors; real scikit-learn objects are made of them
again, so that what was evaluated is what runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain, pairwise
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["TfidfLogistic"]

_ANALYSERS: dict[str, dict[str, Any]] = {
    "words": {"analyzer": "word", "ngram_range": (1, 2), "token_pattern": r"(?u)\b\w+\b"},
    "parts": {"analyzer": "char_wb", "ngram_range": (2, 5)},
}


#: Words whose parts are remembered: a text's words are mostly those of others.
_REMEMBERED: Final = 16_384


class _Terms:
    """Finds the known terms of a text, as the vectorizers' analysers do.

    Args:
        vectorizers: Fitted ``TfidfVectorizer`` of ``words`` and of ``parts``.
    """

    def __init__(self, vectorizers: dict[str, Any]) -> None:
        self._words = vectorizers["words"].vocabulary_
        self._known_parts = vectorizers["parts"].vocabulary_
        self._cut = vectorizers["parts"].build_analyzer()
        self.tokens = vectorizers["words"].build_tokenizer()
        self.parts_of_word = lru_cache(maxsize=_REMEMBERED)(self._parts_of_word)

    def _parts_of_word(self, word: str) -> tuple[int, ...]:
        """The places of a word's parts, each as often as it is in it."""
        known = self._known_parts
        return tuple([known[one] for one in self._cut(word) if one in known])

    def words(self, text: str) -> Counter[int]:
        """The places of words and pairs of a text, and how often each is in it."""
        tokens = self.tokens(text)
        known = self._words
        pairs = [" ".join(pair) for pair in pairwise(tokens)]
        return Counter([known[one] for one in (*tokens, *pairs) if one in known])

    def parts(self, text: str) -> Counter[int]:
        """The places of parts of a text's words, and how often each is in it."""
        return Counter(chain.from_iterable(map(self.parts_of_word, text.split())))


class TfidfLogistic:
    """A linear text classifier on normalised text.

    Args:
        vectorizers: Fitted ``TfidfVectorizer`` of ``words`` and of ``parts``.
        model: Fitted ``LogisticRegression`` over both, side by side.
        terms: Finds their terms; shared by classifiers over the same ones.
    """

    def __init__(
        self, vectorizers: dict[str, Any], model: Any, terms: _Terms | None = None
    ) -> None:
        self._vectorizers = vectorizers
        self._model = model
        self._weights = np.asarray(model.coef_[0], dtype=np.float64)
        self._split = len(vectorizers["words"].vocabulary_)
        self._terms = _Terms(vectorizers) if terms is None else terms

    @staticmethod
    def _vectorizer(kind: str, **more: Any) -> Any:
        from sklearn.feature_extraction.text import TfidfVectorizer

        return TfidfVectorizer(
            lowercase=False, sublinear_tf=True, dtype=np.float64, **_ANALYSERS[kind], **more
        )

    @classmethod
    def fit(
        cls, texts: Sequence[str], labels: Sequence[int], *, strength: float = 10.0,
        weights: Any = None,
    ) -> Self:  # fmt: skip
        """Train on normalised texts.

        Args:
            texts: Normalised texts.
            labels: 1 for the harm, else 0.
            strength: Inverse of the L2 regularisation, scikit-learn's ``C``.
            weights: How much each counts, shape (n,); all alike if None.
        """
        from sklearn.linear_model import LogisticRegression

        vectorizers, made = cls.vocabulary(texts)
        model = LogisticRegression(C=strength, max_iter=2000, tol=1e-6).fit(made, labels, weights)
        return cls(vectorizers, model)

    @classmethod
    def vocabulary(
        cls, texts: Sequence[str], most: int | None = None
    ) -> tuple[dict[str, Any], Any]:
        """The terms of at least two texts, and the texts as sparse vectors over them.

        Args:
            texts: Normalised texts.
            most: The most terms that are kept, the frequent ones; a third of them are words.
        """
        from scipy.sparse import hstack

        share = {"words": 1 / 3, "parts": 2 / 3}
        vectorizers = {
            kind: cls._vectorizer(
                kind, min_df=2, max_features=None if most is None else int(share[kind] * most)
            )
            for kind in _ANALYSERS
        }
        return vectorizers, hstack([one.fit_transform(texts) for one in vectorizers.values()]
                                   ).tocsr()  # fmt: skip

    @classmethod
    def over(
        cls,
        vectorizers: dict[str, Any],
        vectors: Any,
        labels: Any,
        strength: float,
        weights: Any = None,
    ) -> Self:
        """Train on texts whose vectors were made already, by ``vocabulary``.

        Args:
            vectorizers: Fitted, and shared by all classifiers that are made of them.
            vectors: Sparse, shape (n, terms).
            labels: 1 for the harm, else 0, shape (n,).
            strength: Inverse of the L2 regularisation.
            weights: How much each counts, shape (n,); all alike if None.
        """
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(
            C=strength, solver="liblinear", max_iter=500, random_state=0
        ).fit(vectors, labels, sample_weight=weights)
        return cls(vectorizers, model)

    def vectors(self, texts: Sequence[str]) -> Any:
        """Sparse vectors of texts, shape (n, terms), as ``TfidfVectorizer.transform`` makes them.

        Terms are found here, for most words' parts are known from other texts, and scikit-learn's
        checks of each input cost more than all else where a batch is one text.
        """
        from scipy.sparse import csr_matrix, hstack

        halves = []
        for kind, made in self._vectorizers.items():
            find = self._terms.words if kind == "words" else self._terms.parts
            rows = [sorted(find(text).items()) for text in texts]
            ends = np.cumsum([0, *map(len, rows)])
            pairs = np.array([*chain.from_iterable(rows)], dtype=np.int64).reshape(-1, 2)
            data = (np.log(pairs[:, 1].astype(np.float64)) + 1.0) * made.idf_[pairs[:, 0]]
            owners = np.repeat(np.arange(len(rows)), np.diff(ends))
            squares = np.bincount(owners, data**2, minlength=len(rows))
            data /= np.sqrt(np.maximum(squares, 1e-300))[owners]
            shape = (len(rows), len(made.vocabulary_))
            halves.append(csr_matrix((data, pairs[:, 0], ends), shape=shape))
        return hstack(halves).tocsr()

    def decide(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Log-odds of the harm, shape (n,)."""
        return self.decide_vectors(self.vectors(texts))

    def decide_vectors(self, vectors: Any) -> NDArray[np.float64]:
        """Log-odds of the harm of what ``vectors`` made, shape (n,)."""
        return np.asarray(vectors @ self._weights + float(self._model.intercept_[0]))

    def words(self, text: str, vector: Any = None) -> list[tuple[str, float]]:
        """Each distinct word of a text with its part in the log-odds.

        A word's part is that of its own term, half of each pair it stands in, and that of the
        parts of it; these sum over words to the log-odds without the intercept.

        Args:
            text: The text.
            vector: Its row of ``vectors``, if that was made already.
        """
        made = self.vectors([text]) if vector is None else vector
        weighted = made.data * self._weights[made.indices]
        row = dict(zip(made.indices.tolist(), weighted.tolist(), strict=True))
        known_words = self._vectorizers["words"].vocabulary_
        tokens = self._terms.tokens(text)
        counts: dict[int, int] = {}
        owners: list[tuple[str, int, float]] = []
        for index, token in enumerate(tokens):
            terms = [(known_words.get(token), 1.0)]
            if index + 1 < len(tokens):
                pair = known_words.get(f"{token} {tokens[index + 1]}")
                terms.append((pair, 0.5))
                owners.extend([(tokens[index + 1], pair, 0.5)] if pair is not None else [])
            terms += [(one + self._split, 1.0) for one in self._terms.parts_of_word(token)]
            for place, share in terms:
                if place is not None:
                    owners.append((token, place, share))
        for _, place, share in owners:
            counts[place] = counts.get(place, 0) + round(share * 2)
        parts: dict[str, float] = {}
        for token, place, share in owners:
            parts[token] = parts.get(token, 0.0) + row.get(place, 0.0) * share * 2 / counts[place]
        return sorted(parts.items(), key=lambda entry: -entry[1])

    def as_tensors(self) -> dict[str, NDArray[Any]]:
        """The numbers that an artifact keeps."""
        return {
            "coefficients": self._weights.astype(np.float32),
            "intercept": np.asarray(self._model.intercept_, dtype=np.float32),
            **{
                f"idf_{kind}": np.asarray(made.idf_, dtype=np.float32)
                for kind, made in self._vectorizers.items()
            },
        }

    def as_document(self) -> dict[str, list[str]]:
        """The terms that an artifact keeps, in the order of the numbers."""
        return {
            kind: sorted(made.vocabulary_, key=made.vocabulary_.__getitem__)
            for kind, made in self._vectorizers.items()
        }

    @classmethod
    def restore(
        cls,
        tensors: dict[str, NDArray[Any]],
        document: dict[str, list[str]],
        like: TfidfLogistic | None = None,
    ) -> Self:
        """Make the classifier again of what ``as_tensors`` and ``as_document`` gave.

        Args:
            tensors: The numbers.
            document: The terms.
            like: A classifier over the same terms, whose vocabulary is shared.
        """
        from sklearn.linear_model import LogisticRegression

        vectorizers = {} if like is None else like._vectorizers
        for kind in _ANALYSERS if like is None else ():
            vectorizers[kind] = cls._vectorizer(kind, vocabulary=document[kind])
            vectorizers[kind].idf_ = tensors[f"idf_{kind}"].astype(np.float64)
        model = LogisticRegression()
        model.classes_ = np.array([0, 1])
        model.coef_ = tensors["coefficients"].astype(np.float64)[None, :]
        model.intercept_ = tensors["intercept"].astype(np.float64)
        return cls(vectorizers, model, None if like is None else like._terms)

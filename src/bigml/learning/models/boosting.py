"""Boosting: gradient-boosted trees by XGBoost, which is fed part by part; a plain XGBClassifier or XGBRegressor in and out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from traceback import clear_frames
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_classifier, is_regressor

from bigml.errors import BigmlError, BudgetError, DataError, FitError
from bigml.graph.budget import Place, readable
from bigml.graph.execute import n_threads
from bigml.graph.reader import Reader
from bigml.learning.batch import Encoder
from bigml.learning.cache import scratch
from bigml.learning.models.feeding import Batches, Collections, feed
from bigml.learning.scans import keep, place
from bigml.learning.worth import verdict
from bigml.sources.source import Source

if TYPE_CHECKING:
    from distributed import Client

Told: TypeAlias = Callable[[int, int], None]
"""Is told how many of how many rounds are done."""

PASSES = 3
"""How often XGBoost goes through the rows: it counts them, finds quantiles, and writes pages."""
HELD_OUT = "validation_0"
"""What scikit-learn's interface to XGBoost calls the first set of rows that are held out."""
COPIES = 1.5
"""Memory of a cluster that boosting takes, over the encoded float32 rows: their quantised copy, labels and gradients."""
INSTALL = 'Install it: pip install "bigml[xgboost]".'


def is_boosted(estimator: Any) -> bool:
    """Whether the estimator is one of XGBoost's, whose module is loaded when there is one."""
    xgboost = sys.modules.get("xgboost")
    return xgboost is not None and isinstance(estimator, xgboost.XGBModel)


@dataclass(frozen=True, eq=False)
class Boosting:
    """Trees boosted on the rows of a source.

    Without a client, XGBoost keeps quantised rows (a byte a feature, as a rule) in files that are removed at the end, and holds
    one or two pages of them, and about 40 bytes a row (label, gradient, prediction) in memory. On a cluster the workers
    hold all encoded rows in memory, and the trees depend, in the last digits of where they split, on the number of workers.

    Attributes:
        source: The rows.
        encoder: Makes batches of them.
        held_out: Rows on which each round is judged, for early stopping.
        patience: Rounds without a better result after which to stop; None leaves it to the estimator's `early_stopping_rounds`.
        seed: For an estimator without a `random_state`.
    """

    source: Source
    encoder: Encoder
    held_out: Source | None = None
    patience: int | None = None
    seed: int = 0

    def of(self, final: Any, *, cache: bool | str | Path | None, client: Client | None, progress: Told) -> Any:
        """The estimator (an unfitted one, or a fitted one to go on from), fitted in place.

        Raises:
            FitError: A parameter cannot be used on rows that are not in memory.
            DataError: The classes are not 0, 1, ..., or a feature is infinite.
            BudgetError: The workers of the client cannot hold the rows.
        """
        self._check_classes(final)
        coded = replace(self, encoder=replace(self.encoder, coded=True))
        with _refusals(final):
            if client is not None:
                with client.as_current():  # XGBoost asks for the current one, whatever it is given
                    return coded._installed(final, *coded._on_cluster(final, client))
            return coded._installed(final, *coded._on_disk(final, cache, progress))

    def _on_disk(self, final: Any, cache: bool | str | Path | None, progress: Told) -> tuple[Any, Any]:
        wanted = verdict(cache, self.source, raw=self.encoder.is_raw, scans=PASSES)
        with place(wanted.cache, self.source.token, self.encoder, "float32") as directory, scratch(None, "") as pages:
            kept = keep(self.source, self.encoder, directory, dtype="float32") if directory is not None else None
            try:
                return self._trained(final, kept or self.source, pages, progress)
            except BaseException as error:
                # Matrices that the frames of an error hold would look for their pages when those are gone.
                clear_frames(error.__traceback__)
                raise

    def _trained(self, final: Any, reader: Reader, pages: str, progress: Told) -> tuple[Any, Any]:
        import xgboost

        def matrix(batches: Batches, name: str, ref: Any = None) -> Any:
            options = {"max_bin": final.max_bin, "nthread": final.n_jobs or n_threads(), **_categories(final)}
            return xgboost.ExtMemQuantileDMatrix(feed(batches, f"{pages}/{name}", **self._about(final)), ref=ref, **options)

        rows, held_out = matrix(_some(reader, self.encoder), "rows"), None
        if self.held_out is not None:
            held_out = matrix(_some(self.held_out, self._judging), "held-out", rows)
        history: dict[str, Any] = {}
        told = [*(final.callbacks or []), _telling(progress, final.get_num_boosting_rounds())]
        options = self._training(final, held_out) | {"callbacks": told, "evals_result": history}
        return xgboost.train(self._parameters(final), rows, **options), history

    def _on_cluster(self, final: Any, client: Client) -> tuple[Any, Any]:
        from xgboost import dask as boosted

        if not all(client.run(has_xgboost).values()):
            raise FitError("workers with XGBoost", got="some without", where="on the cluster", do=INSTALL)
        rows = Collections.of(self.source, self.encoder, client)
        _check_room(rows.nbytes, Place.of(client))
        options = {"max_bin": final.max_bin, **_categories(final), **self._about(final)}
        matrix = boosted.DaskQuantileDMatrix(client, rows.X, rows.y, weight=rows.weights, **options)
        judged = None
        if self.held_out is not None:
            held_out = Collections.of(self.held_out, self._judging, client)
            judged = boosted.DaskQuantileDMatrix(client, held_out.X, held_out.y, weight=held_out.weights, ref=matrix, **options)
        training = self._training(final, judged) | {"callbacks": final.callbacks}
        learned = boosted.train(client, self._parameters(final), matrix, **training)
        return learned["booster"], learned["history"]

    def _parameters(self, final: Any) -> dict[str, Any]:
        """The parameters that scikit-learn's interface would give to XGBoost."""
        given = final.get_xgb_params()
        if given.get("random_state") is None:
            given["random_state"] = self.seed
        given["n_jobs"] = final.n_jobs or n_threads()
        classes = self._classes
        if classes is not None and len(classes) > 2:
            wanted = "multi:softmax" if final.objective == "multi:softmax" else "multi:softprob"
            given |= {"objective": wanted, "num_class": len(classes)}
        return dict(given)

    def _training(self, final: Any, judged: Any) -> dict[str, Any]:
        return {
            "num_boost_round": final.get_num_boosting_rounds(),
            "evals": [] if judged is None else [(judged, HELD_OUT)],
            "early_stopping_rounds": final.early_stopping_rounds if self.patience is None else self.patience,
            "xgb_model": final.get_booster() if final.__sklearn_is_fitted__() else None,
            "verbose_eval": False,
        }

    def _about(self, final: Any) -> dict[str, Any]:
        """What XGBoost is told of the features; they have names where they are columns."""
        names = list(self.encoder.design.names) if self.encoder.design.preprocessor is None else None
        return {"feature_names": names, "feature_types": final.feature_types, "feature_weights": final.feature_weights}

    def _installed(self, final: Any, booster: Any, history: Mapping[str, Any]) -> Any:
        """The estimator with these trees, as if it had been fitted itself."""
        given = {name: getattr(final, name) for name in ("base_score", "booster", "enable_categorical", "feature_types")}
        given |= {} if self._classes is not None else {"objective": final.objective}
        final.load_model(bytearray(booster.save_raw()))
        for name, value in given.items():
            # Loading takes these from what was learned; `fit` leaves them as they were given.
            setattr(final, name, value)
        if history:
            final.evals_result_ = {name: dict(curves) for name, curves in history.items()}
        return final

    @property
    def _judging(self) -> Encoder:
        """Makes batches of the rows that are held out, which count by their weights where they have any."""
        has_weights = self.held_out is not None and self.encoder.weight in self.held_out.columns
        return self.encoder if has_weights else replace(self.encoder, weight=None)

    @property
    def _classes(self) -> NDArray[Any] | None:
        return self.encoder.target.classes if self.encoder.target is not None else None

    def _check_classes(self, final: Any) -> None:
        name, classes = type(final).__name__, self._classes
        if classes is not None and not np.array_equal(classes, np.arange(len(classes))):
            do = "Number them, for instance by source.assign(target=lambda frame: frame[...].map({...}))."
            raise DataError(
                f"classes 0, 1, ... as `{name}` takes them", got=f"{classes.tolist()[:10]}", where="in target=", do=do
            )


def check(final: Any, *, judged: bool, patience: int | None) -> None:
    """Refuse what XGBoost cannot do with rows that are not in memory.

    Args:
        judged: Whether there are rows that are held out.

    Raises:
        FitError: The estimator or one of its parameters is named.
    """
    name = type(final).__name__
    if not (is_classifier(final) or is_regressor(final)):
        raise FitError("XGBClassifier or XGBRegressor", got=f"`{name}`", where="in fit")
    _check_parameters(final)
    if not judged and (patience is not None or final.early_stopping_rounds is not None):
        raise FitError("validation=, rows that are held out, for early stopping", got="none", where=f"in fit of `{name}`")


def _check_parameters(final: Any) -> None:
    wrong = [f"{name}=<function>" for name in ("objective", "eval_metric") if _holds_function(getattr(final, name))]
    wrong += [f"booster={final.booster!r}"] if final.booster not in (None, "gbtree", "dart") else []
    wrong += [f"tree_method={final.tree_method!r}"] if final.tree_method not in (None, "auto", "hist") else []
    if wrong:
        do = 'Name objective and metric, and leave tree_method at "hist" and booster at "gbtree" or "dart".'
        raise FitError("parameters for rows that are not in memory", got=wrong[0], where=f"in `{type(final).__name__}`", do=do)


def _holds_function(value: Any) -> bool:
    return any(callable(one) for one in (value if isinstance(value, list | tuple) else [value]))


def _categories(final: Any) -> dict[str, Any]:
    return {"enable_categorical": final.enable_categorical, "missing": final.missing}


def _some(reader: Reader, encoder: Encoder) -> Batches:
    """The batches of a reader, at least one."""
    batches = Batches(reader, encoder)
    if next(iter(batches), None) is None:
        raise DataError("rows to learn from", got="none", where="in fit", do="Check the filter or the files.")
    return batches


@contextmanager
def _refusals(final: Any) -> Iterator[None]:
    """What XGBoost refuses, as an error of ours."""
    try:
        yield
    except BigmlError:
        raise
    except (TypeError, ValueError) as error:
        got = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise FitError("parameters and rows that XGBoost accepts", got=got, where=f"in `{type(final).__name__}`") from error


def _telling(progress: Told, rounds: int) -> Any:
    """XGBoost's callback that tells how many rounds are done."""
    import xgboost

    class Telling(xgboost.callback.TrainingCallback):
        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            del model, evals_log
            progress(min(epoch + 1, rounds), rounds)
            return False

    return Telling()


def has_xgboost() -> bool:
    return find_spec("xgboost") is not None


def _check_room(nbytes: int | None, workers: Place) -> None:
    """Refuse rows that the workers cannot hold; how much sparse rows take is not known before they are made."""
    if nbytes is None or workers.memory_limit is None or nbytes * COPIES <= workers.n_workers * workers.memory_limit:
        return
    raise BudgetError(
        f"encoded rows that fit in {readable(workers.memory_limit)} for each of {workers.n_workers} workers",
        got=f"a forecast of {readable(nbytes * COPIES)}",
        where="in fit on a cluster",
        do="Leave client= out: one machine learns from files then. Or add workers.",
    )

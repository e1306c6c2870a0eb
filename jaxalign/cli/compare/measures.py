"""The measure that the options of `jaxalign compare` choose."""

from dataclasses import replace
from functools import partial

import numpy as np

from jaxalign.cli.compare.options import Compare
from jaxalign.comparison import Measure
from jaxalign.comparison._measures import zero
from jaxalign.similarity import (
    angular_procrustes_distance,
    bures_similarity,
    cknna,
    linear_cka,
    mean_cca,
    mean_squared_cca,
    mean_squared_cca_chance,
    mutual_knn,
    mutual_knn_chance,
    procrustes_distance,
    pwcca,
    rbf_cka,
    rsa,
    svcca,
)


def measure_of(options: Compare) -> Measure:
    """The measure with its settings."""
    measure = _measure(options)
    if options.unit_rows:
        return replace(measure, name=f"{measure.name}, of unit rows", unit_rows=True)
    return measure


def _measure(options: Compare) -> Measure:
    match options.measure:
        case "linear-cka" | "rbf-cka":
            return _cka(options)
        case "mutual-knn" | "cknna":
            return _neighbours(options)
        case "rsa":
            return _rsa(options)
        case "procrustes":
            return Measure(
                procrustes_distance,
                "Procrustes distance, squared",
                of_moments=True,
                is_distance=True,
                is_share=False,
            )
        case "angular-procrustes":
            return Measure(
                angular_procrustes_distance,
                "angular Procrustes distance",
                of_moments=True,
                is_distance=True,
                is_share=False,
            )
        case "bures":
            return Measure(bures_similarity, "Bures similarity", of_moments=True)
    return _cca(options)


def _cka(options: Compare) -> Measure:
    unbiased = options.estimator == "debiased"
    least = 2 if options.estimator == "biased" else 4
    if options.measure == "linear-cka":
        return Measure(
            partial(linear_cka, estimator=options.estimator),
            f"linear CKA, {options.estimator}",
            least=least,
            of_moments=True,
        )
    return Measure(
        partial(rbf_cka, bandwidth=options.bandwidth, estimator=options.estimator),
        f"CKA of Gaussian kernels, {options.bandwidth:g} × median distance, {options.estimator}",
        least=least,
        chance=zero if unbiased else None,
    )


def _neighbours(options: Compare) -> Measure:
    if options.measure == "cknna":
        return Measure(
            partial(cknna, k=options.k), f"CKNNA of {options.k}", least=max(4, options.k + 1)
        )
    return Measure(
        partial(mutual_knn, k=options.k),
        f"mutual {options.k} nearest neighbours",
        least=options.k + 1,
        chance=partial(_share_of_neighbours, k=options.k),
    )


def _share_of_neighbours(x: np.ndarray, y: np.ndarray, *, k: int) -> float:
    return mutual_knn_chance(len(x), k=k)


def _rsa(options: Compare) -> Measure:
    return Measure(
        partial(rsa, metric=options.metric, compare=options.compare),
        f"RSA of {options.metric} distances, {options.compare}",
        least=3,
        of_moments=options.metric == "sqeuclidean" and options.compare != "spearman",
        chance=None if options.compare == "cosine" else zero,
    )


def _cca(options: Compare) -> Measure:
    match options.measure:
        case "svcca":
            name = f"SVCCA at {options.variance:.0%} of the variance"
            return Measure(partial(svcca, variance=options.variance), name, of_moments=True)
        case "pwcca":
            return Measure(pwcca, "PWCCA", of_moments=True)
        case "mean-squared-cca":
            return Measure(
                mean_squared_cca,
                "mean squared CCA",
                of_moments=True,
                chance=mean_squared_cca_chance,
            )
    return Measure(mean_cca, "mean CCA", of_moments=True)

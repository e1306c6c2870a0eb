import jax
import pytest

from jaxalign.benchmark.problem import Shape, errors, exact, example
from jaxalign.benchmark.solvers import OURS, PRODUCTS, Data, as_answer, solvers


@pytest.mark.slow
@pytest.mark.parametrize(
    "shape",
    [
        Shape(80, 20),
        pytest.param(Shape(80, 6), marks=pytest.mark.slow),
        pytest.param(Shape(80, 6, 3), marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_everyone_answers_the_same_question(shape):
    """Every racer gives σ and (UᵀY)² of these matrices, as well as float32 can at this condition;
    ours as float64 can.
    """
    features, targets = example(shape)
    answer = exact(features, targets)
    known = solvers(shape, jax.default_backend())
    assert next(iter(known)) == OURS
    for name, solver in known.items():
        result = solver(Data(features, targets))()
        if name.split(",")[0] in PRODUCTS:
            continue
        wrong = errors(as_answer(result), answer, targets)
        if "quadrature" in name:  # 16 points stand for 20 values
            assert wrong.area < 0.1, name
            continue
        assert wrong.curve < (
            1e-6 if name in (OURS, f"{OURS}, in jit", f"{OURS}, refined") else 1e-2
        ), name
        if name == f"{OURS}, refined":
            assert wrong.sigma_min < 1e-7


def test_an_accelerator_has_its_own_racers():
    on_gpu = solvers(Shape(80, 6), "gpu")
    assert {"lax svd, gesvdj", "lax svd, gesvd", "lax svd, gesvdp", "gemm float64"} <= set(on_gpu)
    assert not {"numpy svd", "gemm float32, numpy"} & set(on_gpu)

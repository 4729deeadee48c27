"""ggml's graph allocator, replayed."""

from __future__ import annotations

from workbench.models.graph_memory import ALIGNMENT, Graph, Tensor

KIB = 256  # floats


def given(n_floats: int) -> Tensor:
    return Tensor(shape=(n_floats,), given=True)


def made(n_floats: int, *sources: Tensor, **more: bool) -> Tensor:
    return Tensor(shape=(n_floats,), sources=sources, **more)


def peak(*results: Tensor) -> int:
    graph = Graph()
    graph.expand(*results)
    return graph.buffer_bytes()


def test_inputs_and_results_lie_side_by_side() -> None:
    assert peak(made(KIB, given(KIB))) == 2048


def test_sizes_are_padded() -> None:
    assert peak(made(1, given(3))) == 2 * ALIGNMENT


def test_memory_is_used_again_after_the_last_use() -> None:
    chain = given(KIB)
    for _ in range(5):
        chain = made(KIB, chain)
    assert peak(chain) == 2048


def test_what_is_still_needed_is_kept() -> None:
    start = given(KIB)
    chain = made(KIB, made(KIB, start))
    assert peak(made(KIB, chain, start)) == 3072


def test_an_operation_in_place_takes_over_its_only_used_source() -> None:
    assert peak(made(KIB, made(KIB, given(KIB)), in_place=True)) == 2048
    source = made(KIB, given(KIB))
    other = made(KIB, source)
    assert peak(made(KIB, made(KIB, source, in_place=True), other)) == 3072, "used twice"


def test_an_output_is_neither_freed_nor_written_over() -> None:
    assert peak(made(KIB, made(KIB, given(KIB), output=True), in_place=True)) == 2048, "in the freed input's place"
    first = made(KIB, given(KIB), output=True)
    assert peak(made(KIB, made(KIB, made(KIB, first)))) == 3072


def test_a_view_keeps_what_it_looks_at() -> None:
    source = made(KIB, given(4 * KIB))
    view = made(KIB, source, view_of=source)
    assert peak(made(KIB, view, in_place=True)) == 5120, "a view's memory is not taken over"
    assert peak(made(KIB, made(KIB, given(KIB)))) == 2048


def test_the_best_fitting_block_is_taken() -> None:
    large, wall, small, end = given(4 * KIB), given(KIB), given(2 * KIB), given(KIB)
    graph = Graph()
    graph.expand(large, wall, small, end)
    freed = made(1, large, small)  # both blocks are free after this
    fits_small = made(2 * KIB, freed)
    fits_large = made(4 * KIB, freed, fits_small)
    graph.expand(made(KIB, fits_small, fits_large, wall, end))
    assert graph.buffer_bytes() == 9 * 1024, "any other choice leaves no block for the large one"


def test_what_lies_elsewhere_takes_nothing() -> None:
    assert peak(made(KIB, given(KIB), external=True)) == 1024

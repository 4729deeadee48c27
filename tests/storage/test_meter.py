"""The meter counts what is asked of databases inside its block, and nothing else."""

import threading

from workbench.storage import EventLog, metering


def test_reads_and_transactions_are_counted():
    log = EventLog()
    log.append("s", "before", {})
    with metering() as meter:
        log.append("s", "kind", {})
        log.read_since(0)
    assert meter.queries == 2
    assert meter.elapsed_ms > 0
    log.read_since(0)
    assert meter.queries == 2, "after the block nothing is counted"


def test_an_inner_block_counts_for_the_outer():
    log = EventLog()
    with metering() as outer:
        log.read_since(0)
        with metering() as inner:
            log.read_since(0)
    assert (inner.queries, outer.queries) == (1, 2)
    assert outer.elapsed_ms > inner.elapsed_ms


def test_another_thread_is_not_counted():
    log = EventLog()
    with metering() as meter:
        thread = threading.Thread(target=log.read_since)
        thread.start()
        thread.join()
    assert meter.queries == 0


def test_a_failed_transaction_counts_too():
    log = EventLog()
    with metering() as meter:
        try:
            log.append("s", "kind", {"x": float("nan")})
        except ValueError:
            pass
        else:
            raise AssertionError("NaN is no JSON")
        try:
            with log.database.transaction():
                raise KeyError
        except KeyError:
            pass
    assert meter.queries == 1

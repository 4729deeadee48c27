"""Everything public shows itself, and text from outside cannot do anything there."""

import dataclasses
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from workbench import Sweep, fit, list_models, profile
from workbench.checkup import Check, Report
from workbench.interfaces import (
    CacheStats,
    Completion,
    Compression,
    EngineStats,
    Message,
    Receipt,
    Recollection,
    Recollections,
    Sampling,
    Timings,
)
from workbench.memory import BufferMemory
from workbench.models import Machine, resolve
from workbench.models.discovery import FoundModel, ModelList
from workbench.settings import EngineSettings
from workbench.showing import Shown, Table, View, as_html, as_text, fact, size
from workbench.sweep.claiming import ClaimedSweep, ClaimTable
from workbench.sweep.findings.claims import ClaimResult, Measured
from workbench.sweep.results import Analysis, Audit, Comparison, Effect, Recommendation, TargetResult
from workbench.sweep.specification.parts import ClaimSpec
from workbench.sweep.versus import SweepComparison
from workbench.telemetry import Trace
from workbench.testing import ScriptedEngine

EVIL = "<img src=x onerror=alert(1)>'\" onload=x </script><script>alert(2)</script>\x1b[31m\x1b]0;t\x07\x9b2J\r&lt;"
HARMLESS_TAGS = {"div", "p", "b", "pre", "table", "thead", "tbody", "tr", "th", "td"}


class Reader(HTMLParser):
    """Tags, attributes and text as a browser would take them."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.words = set(), [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.words.append(data)


def effect(**changes):
    return Effect(**{"ratio": 1.25, "low": 1.2, "high": 1.3, "level": 0.95, "p": 0.002, "n": 10} | changes)


def comparison(text="n_batch=512"):
    return Comparison(
        metric=text,
        label=text,
        configuration={text: text},
        reference=text,
        effect=effect(),
        p_holm=0.004,
        band=0.01,
        verdict="better",
        reason=text,
    )


def recommendation(text):
    return Recommendation(
        metric=text,
        conclusive=True,
        configuration={text: text},
        headline=text,
        code=text,
        evidence=comparison(text),
        notes=[text],
    )


def analysis(text, comparisons=1):
    return Analysis(
        name=text,
        title=text,
        description=text,
        objectives=[],
        parameters={text: [text]},
        baseline=text,
        frame=pd.DataFrame(),
        floors={},
        comparisons=[comparison(text)] * comparisons,
        main_effects=[],
        recommendations=[recommendation(text)],
        targets=[TargetResult(name=text, asked=text, measured=text, met=None)],
        audit=audit(text),
    )


def audit(text):
    return Audit(planned=3, done=2, failed=1, missing=0, failures=[(text, text)])


def completion(text):
    timings = Timings(
        queue_ms=1.0,
        prefill_ms=20.0,
        ttft_ms=21.0,
        decode_ms=100.0,
        total_ms=121.0,
        prompt_tokens=7,
        cached_tokens=3,
        output_tokens=11,
    )
    return Completion(
        text=text, tokens=(1,), finish_reason="stop", timings=timings, model=text, settings=EngineSettings()
    )


def claims(text):
    claim = ClaimSpec(says=text, metric="x", low=1.1, high=1.2, direction="maximize")
    result = ClaimResult(
        claim=claim,
        measured=Measured(estimate=1.15, low=1.1, high=1.2, n=10),
        verdict="confirmed",
        reason=text,
    )
    swept = ClaimedSweep(
        name=text, title=text, description=text, folder=Path("x"), audit=text, hosts=(text,), results=(result,)
    )
    return ClaimTable(sweeps=(swept,), unreadable=((Path("a.yaml"), text),))


def recollection(text):
    return Recollection(message=Message.user(text), index=1, score=0.5, reason=text)


def memory(text):
    kept = BufferMemory()
    kept.add(Message.user("hi"), session=text)
    return kept


def fitted(text, tiny):
    model = dataclasses.replace(resolve(tiny), name=text)
    return fit(model, Machine(host_free_bytes=2**34), factor=1.0)


def profiled(text):
    with profile() as found:
        trace = Trace("turn", model=text)
        with trace.span(text):
            pass
        trace.end()
    return found


SHOWN = {
    "ModelFile": lambda text, tiny: dataclasses.replace(resolve(tiny), name=text),
    "FoundModel": lambda text, tiny: FoundModel(name=text, source=text, path=Path("x"), problem=text),
    "Fit": fitted,
    "EngineStats": lambda text, tiny: dataclasses.replace(ScriptedEngine("x").stats, state=text),
    "EngineSettings": lambda text, tiny: EngineSettings(speculation="draft", draft_model=text),
    "Sampling": lambda text, tiny: Sampling(temperature=0.0),
    "Receipt": lambda text, tiny: Receipt(why=text, tier=text, speculation=text),
    "Completion": lambda text, tiny: completion(text),
    "CacheStats": lambda text, tiny: CacheStats(hits=1, misses=2, entries=3, bytes=4),
    "Compression": lambda text, tiny: Compression(
        messages=(Message.user(text),), tokens_before=9, tokens_after=5, kept_prefix=1, elapsed_ms=1.0
    ),
    "Recollection": lambda text, tiny: recollection(text),
    "Recollections": lambda text, tiny: Recollections([recollection(text)]),
    "Memory": lambda text, tiny: memory(text),
    "Audit": lambda text, tiny: audit(text),
    "Comparison": lambda text, tiny: comparison(text),
    "Recommendation": lambda text, tiny: recommendation(text),
    "Analysis": lambda text, tiny: analysis(text),
    "ClaimTable": lambda text, tiny: claims(text),
}
NOTHING_FROM_OUTSIDE = {"Sampling", "CacheStats"}
OLDER = {
    "ModelList": lambda text: ModelList([FoundModel(name=text, source=text, path=Path("x"), problem=text)]),
    "Report": lambda text: Report((Check(text, "problem", text, text),)),
    "SweepComparison": lambda text: SweepComparison(
        a=text,
        b=text,
        differences=[],
        facts={text: (text, text)},
        only_a=[text],
        only_b=[text],
        lost=[text],
        paired=False,
        gate=0.05,
    ),
    "Profile": profiled,
}


def page_of(value):
    return value._repr_mimebundle_(include=None, exclude=None)["text/html"]


@pytest.mark.parametrize("kind", SHOWN)
def test_everything_shows_itself_as_text_and_as_html(kind, tiny):
    bundle = SHOWN[kind]("ordinary", tiny)._repr_mimebundle_(include=None, exclude=None)
    assert set(bundle) == {"text/plain", "text/html"}
    for shown in bundle.values():
        assert kind in NOTHING_FROM_OUTSIDE or "ordinary" in shown
    assert Reader(bundle["text/html"]).tags <= HARMLESS_TAGS


@pytest.mark.parametrize("kind", sorted(set(SHOWN) - NOTHING_FROM_OUTSIDE))
def test_hostile_text_is_inert(kind, tiny):
    bundle = SHOWN[kind](EVIL, tiny)._repr_mimebundle_(include=None, exclude=None)
    page = Reader(bundle["text/html"])
    assert page.tags <= HARMLESS_TAGS
    assert {name for name, _ in page.attributes} <= {"style", "class"}
    assert "<img src=x onerror=alert(1)>" in "".join(page.words), "it can still be read"
    for shown in bundle.values():
        assert not [char for char in shown if ord(char) < 32 and char not in "\t\n"]
        assert "\x9b" not in shown


@pytest.mark.parametrize("kind", OLDER)
def test_hostile_text_is_inert_in_the_older_tables_too(kind):
    page = Reader(OLDER[kind](EVIL)._repr_html_())
    assert page.tags <= HARMLESS_TAGS | {"br", "style"}
    assert {name for name, _ in page.attributes} <= {"style", "title", "id", "type", "class"}


def test_nothing_is_fetched_and_no_colour_is_chosen(tiny):
    for make in SHOWN.values():
        page = page_of(make("ordinary", tiny))
        for word in ("http", "src=", "url(", "color", "background"):
            assert word not in page


def test_mathjax_looks_away():
    assert Reader(as_html(View(heading="$a$"))).attributes == [("class", "tex2jax_ignore mathjax_ignore")]


def test_the_terminal_gets_columns_that_stand_below_each_other():
    table = Table(columns=("name", "value"), rows=[("a", "1"), ("longer", "line\nbreak")])
    assert as_text(View(heading="Head", tables=[table], notes=["Note."])) == (
        "Head\n\nname    value\na       1\nlonger  line break\n\nNote."
    )


def test_an_empty_table_is_left_out():
    view = View(heading="Head", tables=[Table(columns=("a", "b"), rows=[])])
    assert as_text(view) == "Head"
    assert "<table" not in as_html(view)


@pytest.mark.parametrize(
    ("value", "name", "shown"),
    [
        (None, "kv_bytes", "—"),
        (1.5 * 2**30, "kv_bytes", "1.5 GiB"),
        (0, "kv_bytes", "0 B"),
        (12345, "tokens", "12,345"),
        (1234.56, "load_ms", "1,234.6"),
        (0.123456, "share", "0.1235"),
        (True, "mmap", "True"),
        ((), "parts", "—"),
        ({"a": 1, "b": (2, 3)}, "", "a=1, b=2, 3"),
        ("x" * 500, "", "x" * 400 + "…"),
    ],
)
def test_a_fact_has_the_unit_of_its_name(value, name, shown):
    assert fact(value, name) == shown


def test_sizes():
    assert [size(0), size(1024), size(3 * 2**20), size(2**40)] == ["0 B", "1.0 KiB", "3.0 MiB", "1,024.0 GiB"]


def test_settings_say_where_they_differ_from_the_default():
    lines = EngineSettings(n_ctx=4096, n_batch=256)._repr_mimebundle_()["text/plain"].splitlines()
    assert [line.split() for line in lines if line.startswith(("n_ctx", "n_batch", "n_keep"))] == [
        ["n_ctx", "4,096", "—"],
        ["n_batch", "256", "512"],
        ["n_keep", "4"],
    ]


def test_an_absent_reading_is_no_zero():
    stats = ScriptedEngine("x").stats
    assert ["kv_bytes", "—"] in [line.split() for line in stats._repr_mimebundle_()["text/plain"].splitlines()]
    assert isinstance(stats, EngineStats)


def test_what_a_memory_recalls_is_a_list_and_shows_itself():
    kept = memory("default")
    found = kept.recall("hi")
    assert found == list(found)
    assert "hi" in page_of(found)
    assert page_of(kept.recall("hi", session="nobody")).count("<tr>") == 0
    assert "hi" in page_of(kept.recall_at("hi", turn=1))


def test_of_many_sessions_the_first_are_shown():
    kept = BufferMemory()
    for number in range(25):
        kept.add(Message.user("hi"), session=f"s{number:02}")
    text = kept._repr_mimebundle_()["text/plain"]
    assert "BufferMemory: 25 messages in 25 sessions" in text
    assert "s19" in text
    assert "s20" not in text
    assert "and 5 more" in text


def test_of_many_comparisons_the_first_are_shown():
    shown = analysis("ordinary", comparisons=45)._repr_mimebundle_()["text/plain"]
    assert "5 more comparisons" in shown
    assert "1.250 [1.200, 1.300], n=10" in shown


def test_a_ratio_without_an_interval_says_so():
    found = dataclasses.replace(
        recommendation("x"),
        evidence=None,
        quality=[
            dataclasses.replace(comparison(), effect=effect(low=None, high=None, n=3)),
            dataclasses.replace(comparison(), effect=effect(low=None, high=None, n=0)),
        ],
    )
    shown = found._repr_mimebundle_()["text/plain"]
    assert "1.25 (no interval), n=3" in shown
    assert "not measured" in shown


def test_a_sweep_shows_how_far_it_is(tmp_path):
    from workbench.testing.fabricated_sweep import fabricate

    sweep = Sweep.from_file(fabricate(tmp_path, batches=2, contexts=1, blocks=2, samples=2, done=3))
    bundle = sweep._repr_mimebundle_()
    for shown in bundle.values():
        assert "3/10 runs done" in shown
        assert "n_batch" in shown


def test_mixing_it_in_costs_no_dictionary():
    assert not hasattr(EngineSettings(), "__dict__")
    assert issubclass(EngineSettings, Shown)


def test_the_list_of_models_still_shows_itself():
    assert list_models()._repr_html_()

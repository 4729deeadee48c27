"""Registries: one door for built-ins and third parties."""

import threading
from importlib.metadata import EntryPoint, entry_points

import pytest

import workbench.registry
from workbench.errors import UnknownName, UsageError
from workbench.interfaces import Cache, Compressor, Embedder, Engine, Executor, Memory
from workbench.registry import Registry, caches, compressors, embedders, engines, executors, memories
from workbench.settings import EngineSettings
from workbench.testing import ScriptedEngine

REGISTRIES = (engines, embedders, memories, compressors, caches, executors)


@pytest.fixture
def registry(monkeypatch):
    """A registry of its own, with one entry point from elsewhere."""
    point = EntryPoint("foreign", "collections:OrderedDict", "test.things")
    monkeypatch.setattr(
        workbench.registry, "entry_points", lambda group: [point] if group == "test.things" else pytest.fail(group)
    )
    return Registry("thing", "test.things")


def test_an_entry_point_is_a_component(registry):
    from collections import OrderedDict

    assert registry.names() == ("foreign",)
    assert registry.get("foreign") is OrderedDict
    assert registry.create("foreign", a=1) == {"a": 1}


def test_a_component_can_be_registered_on_the_spot(registry):
    @registry.register("mine")
    class Mine:
        def __init__(self, size):
            self.size = size

    assert registry.names() == ("foreign", "mine")
    assert registry.create("mine", size=3).size == 3
    assert registry.get("mine") is Mine, "the decorator leaves the class as it is"


def test_an_unknown_name_lists_the_known(registry):
    with pytest.raises(UnknownName, match=r"Unknown thing 'forein'. Did you mean 'foreign'\? Known: foreign."):
        registry.get("forein")


def test_running_a_cell_again_is_no_clash(registry):
    for size in (1, 2):

        def factory(size=size):
            return size

        registry.register("mine")(factory)
    assert registry.create("mine") == 2, "the latest definition counts"


def test_a_name_is_taken_once(registry):
    registry.register("mine")(dict)
    with pytest.raises(UsageError, match="a thing named 'mine' already"):
        registry.register("mine")(list)
    with pytest.raises(UsageError, match="'foreign' already"):
        registry.register("foreign")(list)
    assert registry.get("mine") is dict


def test_nothing_is_imported_before_it_is_asked_for(monkeypatch):
    point = EntryPoint("broken", "no_such_module_anywhere:Thing", "test.things")
    monkeypatch.setattr(workbench.registry, "entry_points", lambda group: [point])
    registry = Registry("thing", "test.things")
    assert registry.names() == ("broken",)
    with pytest.raises(ModuleNotFoundError, match="no_such_module_anywhere"):
        registry.get("broken")


def test_many_threads_get_one_component(registry):
    found = []
    threads = [threading.Thread(target=lambda: found.append(registry.get("foreign"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


@pytest.mark.parametrize("one", REGISTRIES, ids=lambda one: one.kind)
def test_every_built_in_can_be_loaded(one):
    assert one.names(), "every kind has a built-in"
    for name in one.names():
        assert callable(one.get(name))


MEMORIES = {
    "adaptive": {"base": "buffer"},
    "archive": {"embedder": "hashing"},
    "buffer": {},
    "composed": {"parts": ["buffer", "window"]},
    "full": {},
    "graph": {"base": "buffer"},
    "hybrid": {"embedder": "hashing"},
    "none": {},
    "random": {},
    "ranked": {"embedder": "hashing", "second_embedder": None},
    "summary": {"engine": ScriptedEngine(["A summary."])},
    "window": {"budget_tokens": 100},
}
BUILT_INS = [
    *((memories, name, options, Memory) for name, options in MEMORIES.items()),
    (compressors, "extractive", {"count_tokens": len, "embedder": "hashing"}, Compressor),
    (compressors, "middle", {"count_tokens": len}, Compressor),
    (compressors, "chain", {"count_tokens": len, "steps": ["middle"]}, Compressor),
    (compressors, "prompt", {"count_tokens": len}, Compressor),
    (compressors, "random", {"count_tokens": len}, Compressor),
    (compressors, "summary", {"count_tokens": len, "engine": ScriptedEngine(["A summary."])}, Compressor),
    (compressors, "truncate", {"count_tokens": len}, Compressor),
    (compressors, "surprise", {"count_tokens": ScriptedEngine("")}, Compressor),
    (caches, "exact", {}, Cache),
    (caches, "semantic", {"embedder": "hashing", "threshold": 0.9}, Cache),
    (embedders, "hashing", {}, Embedder),
    (executors, "dask", {}, Executor),
    (executors, "local", {}, Executor),
]
# These need a model's folder, a server, or a program of others: tests/embedding/test_backends.py, tests/endpoint,
# tests/engine/peers.
ELSEWHERE = {
    *(("embedder", name) for name in ("all-minilm-l6-v2", "paraphrase-minilm-l3-v2")),
    *(("embedder", name) for name in ("gguf", "onnx", "sentence-transformers")),
    ("engine", "endpoint"),
    ("engine", "llama-server"),
}


@pytest.mark.parametrize(("one", "name", "options", "protocol"), BUILT_INS, ids=lambda value: str(value)[:20])
def test_built_ins_keep_their_protocol(one, name, options, protocol):
    made = one.create(name, **options)
    assert isinstance(made, protocol)
    if hasattr(made, "close"):
        made.close()


ENGINES = ("tuned", "baseline", "worker")


@pytest.mark.parametrize("name", ENGINES)
def test_engines_keep_their_protocol(tiny, name):
    with engines.create(name, tiny, EngineSettings(n_ctx=256)) as engine:
        assert isinstance(engine, Engine)


def test_every_built_in_is_tried():
    tried = {(one.kind, name) for one, name, _, _ in BUILT_INS} | {("engine", name) for name in ENGINES} | ELSEWHERE
    # entry points, not names(): other tests register strategies of their own
    points = {(one.kind, point.name) for one in REGISTRIES for point in entry_points(group=one.group)}
    assert points == tried

import dataclasses
import json
import re
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import pytest

from workbench.errors import InvalidSettings, OutOfMemory
from workbench.hardware.host import cpu_features
from workbench.models import SyntheticShape, check_fits, estimate, make_synthetic, read_model_file
from workbench.models.catalogue import bundled
from workbench.models.compute_memory import MARGIN
from workbench.models.footprint import MAX_CONTEXT, largest_context
from workbench.models.weight_memory import WeightMemory, layer_bytes, weight_memory
from workbench.settings import EngineSettings
from workbench.testing.tiny_gguf import make_tiny_gguf

MIB = 2**20

# Creates contexts and reports what llama.cpp itself says they take. In a process of its own: logging is global.
MEASURE = """
import json, re, sys
import llama_cpp as llama
said = []
keep = llama.llama_log_callback(lambda level, text, data: said.append(text.decode(errors="replace")))
llama.llama_log_set(keep, None)
types = {"f32": 0, "f16": 1, "q4_0": 2, "q8_0": 8, "q5_1": 7}
def mib(kind):
    return sum(map(float, re.findall(kind + r" buffer size =\\s+([\\d.]+) MiB", "".join(said))))
def measure(model, case):
    params = llama.llama_context_default_params()
    params.n_ctx, params.n_batch, params.n_ubatch = case["n_ctx"], case["n_batch"], case["n_ubatch"]
    params.n_seq_max, params.kv_unified, params.swa_full = case["n_seq_max"], case["kv_unified"], case["swa_full"]
    params.type_k, params.type_v = types[case["type_k"]], types[case["type_v"]]
    params.flash_attn_type, params.n_outputs_max = int(case["flash_attn"]), case["n_outputs"]
    said.clear()
    context = llama.llama_init_from_model(model, params)
    assert context, "".join(said)[-500:]
    size = {"n_ctx": llama.llama_n_ctx(context), "kv": mib("KV"), "out": mib("output"), "compute": mib("compute")}
    llama.llama_free(context)
    return size
paths, cases = json.loads(sys.stdin.read())
for path in paths:
    said.clear()
    model = llama.llama_model_load_from_file(path.encode(), llama.llama_model_default_params())
    weights = mib("model")
    for case in cases:
        print(json.dumps({**measure(model, case), "weights": weights}))
    llama.llama_model_free(model)
"""

DEFAULTS = {
    "n_ctx": 2048,
    "n_batch": 512,
    "n_ubatch": 512,
    "n_outputs": 512,
    "n_seq_max": 1,
    "kv_unified": True,
    "swa_full": True,
    "type_k": "f16",
    "type_v": "f16",
    "flash_attn": True,
}
CASES = [
    {**DEFAULTS, **changes}
    for changes in (
        {"n_ctx": 100},
        {"n_ctx": 2048},
        {"n_ctx": 8192, "n_batch": 2048, "n_outputs": 2048},
        {"n_ctx": 8192, "n_batch": 1024, "n_ubatch": 1024, "n_outputs": 1},
        {"n_ctx": 4096, "n_batch": 64, "n_ubatch": 64},
        {"n_seq_max": 4},
        {"n_seq_max": 4, "kv_unified": False},
        {"n_seq_max": 256, "n_outputs": 256},
        {"n_seq_max": 100, "n_ubatch": 64, "flash_attn": False},
        {"n_seq_max": 3, "kv_unified": False, "n_ctx": 100},
        {"n_seq_max": 3, "kv_unified": False, "n_ctx": 2048},
        {"type_k": "q8_0", "type_v": "q8_0"},
        {"type_k": "q4_0", "type_v": "q5_1"},
        {"type_k": "f32", "type_v": "f32"},
        {"type_k": "q8_0"},
        {"flash_attn": False, "n_ctx": 4096},
        {"flash_attn": False, "n_outputs": 16, "type_k": "q8_0"},
        {"flash_attn": False, "n_seq_max": 4, "kv_unified": False},
        {"swa_full": False, "n_ctx": 8192},
        {"swa_full": False, "n_ctx": 8192, "n_seq_max": 4, "n_ubatch": 64},
        {"swa_full": False, "n_ctx": 8192, "n_seq_max": 4, "n_ubatch": 64, "kv_unified": False},
    )
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory):
    path = tmp_path_factory.mktemp("footprint") / "tiny.gguf"
    return read_model_file(make_tiny_gguf(path, n_embd=128, n_head=4, n_head_kv=2, n_layer=3, n_ctx_train=16_384))


def settings_of(case: dict) -> EngineSettings:
    return EngineSettings(**{name: value for name, value in case.items() if name not in ("n_ctx", "n_outputs")})


def reported(paths: list[Path], cases: list[dict]) -> list[dict]:
    """What llama.cpp says it allocated, in MiB with two decimals: every case of the first model, then the next."""
    asked = json.dumps([[str(path) for path in paths], cases])
    child = subprocess.run([sys.executable, "-c", MEASURE], input=asked, capture_output=True, text=True, timeout=240)
    assert child.returncode == 0, child.stderr
    lines = [json.loads(line) for line in child.stdout.splitlines()]
    assert len(lines) == len(paths) * len(cases)
    return lines


def assert_agrees_with_llama_cpp(path: Path) -> None:
    model = read_model_file(path)
    for case, said in zip(CASES, reported([path], CASES), strict=True):
        ours = estimate(model, settings_of(case), case["n_ctx"], n_outputs=case["n_outputs"])
        assert ours.exact
        assert ours.n_ctx == said["n_ctx"], case
        assert (ours.mapped_bytes + ours.repacked_bytes) / MIB == pytest.approx(said["weights"], abs=0.011), case
        assert ours.kv_bytes / MIB == pytest.approx(said["kv"], abs=0.011), case
        assert ours.output_bytes / MIB == pytest.approx(said["out"], abs=0.011), case
        assert ours.compute_bytes / MIB == pytest.approx(said["compute"], abs=0.011), case


SHAPES = {
    "narrow and deep": ("q8_0", {"n_layer": 12, "n_embd": 128, "n_ff": 384, "n_head": 4, "n_head_kv": 2}),
    "wide vocabulary": (
        "q4_0",
        {"n_layer": 2, "n_embd": 256, "n_ff": 512, "n_head": 4, "n_head_kv": 1, "n_vocab": 12_000},
    ),
    "wide feed-forward": (
        "f16",
        {"n_layer": 3, "n_embd": 192, "n_ff": 3072, "n_head": 2, "n_head_kv": 2, "head_dim": 128, "tied": False},
    ),
    "sliding windows": (
        "q4_k",
        {"n_layer": 13, "n_embd": 256, "n_ff": 640, "n_head": 4, "n_head_kv": 1, "n_vocab": 5000}
        | {"architecture": "gemma3", "sliding_window": 300},
    ),
    "norms of Q and K": (
        "iq4_nl",
        {"n_layer": 5, "n_embd": 320, "n_ff": 960, "n_head": 5, "n_head_kv": 5, "n_vocab": 9000}
        | {"architecture": "qwen3"},
    ),
    "biases": (
        "q4_1",
        {"n_layer": 4, "n_embd": 256, "n_ff": 768, "n_head": 8, "n_head_kv": 2, "architecture": "qwen2"},
    ),
}
SETTINGS = [
    {**DEFAULTS, **changes}
    for changes in (
        {"flash_attn": False, "n_ctx": 4096, "n_outputs": 32},
        {"n_ctx": 8192, "type_k": "q8_0", "type_v": "q8_0", "n_outputs": 16},
        {"n_seq_max": 8, "kv_unified": False, "flash_attn": False, "n_outputs": 64},
        {"n_ctx": 8192, "n_ubatch": 128, "n_seq_max": 6, "swa_full": False, "n_outputs": 100},
    )
]


def test_estimate_against_allocation_over_shapes_and_settings(tmp_path):
    """The measure: every total within 2 % of what llama.cpp allocates."""
    tokenizer = make_tiny_gguf(tmp_path / "bytes.gguf")
    models = [
        read_model_file(
            make_synthetic(tmp_path / f"{at}.gguf", SyntheticShape(**shape), quantization, tokenizer_from=tokenizer)
        )
        for at, (quantization, shape) in enumerate(SHAPES.values())
    ]
    lines = iter(reported([model.path for model in models], SETTINGS))
    for name, model in zip(SHAPES, models, strict=True):
        for case in SETTINGS:
            ours, said = estimate(model, settings_of(case), case["n_ctx"], n_outputs=case["n_outputs"]), next(lines)
            total = (ours.mapped_bytes + ours.repacked_bytes + ours.context_bytes) / MIB
            allocated = said["weights"] + said["kv"] + said["out"] + said["compute"]
            assert total == pytest.approx(allocated, rel=0.02), (name, case)
            assert ours.compute_bytes / MIB == pytest.approx(said["compute"], abs=0.011), (name, case)


def test_another_architecture_gets_a_margin(model):
    other = dataclasses.replace(model, architecture="something")
    exact, guessed = (estimate(one, EngineSettings(), 2048) for one in (model, other))
    assert exact.exact
    assert not guessed.exact
    assert guessed.compute_bytes == int(MARGIN * exact.compute_bytes)


def test_each_sequence_id_costs_a_row_of_logits_twice(model):
    few, many = (estimate(model, EngineSettings(), 2048, n_ids=ids, n_outputs=ids) for ids in (1, 256))
    row = 4 * model.n_vocab
    assert many.output_bytes - few.output_bytes == 255 * row
    assert many.kv_bytes == few.kv_bytes


def test_mapped_and_copied_weights(tmp_path):
    tokenizer = make_tiny_gguf(tmp_path / "bytes.gguf")
    shape = SyntheticShape(n_layer=2, n_embd=256, n_ff=512, n_head=4, n_head_kv=4, n_vocab=512)
    model = read_model_file(make_synthetic(tmp_path / "m.gguf", shape, "q4_0", tokenizer_from=tokenizer))
    plain = weight_memory(model, use_mmap=False, repack=False)
    assert plain == WeightMemory(plain_bytes=model.weights_bytes, repacked_bytes=0, mapped_bytes=0)
    mapped = weight_memory(model, use_mmap=True, repack=False)
    assert mapped.mapped_bytes == pytest.approx(model.weights_bytes, abs=32 * len(model.tensors))
    assert sum(layer_bytes(model)) == model.weights_bytes  # the tied embedding counts as the output layer


@pytest.mark.skipif("avx2" not in cpu_features(), reason="other CPUs repack other types")
def test_a_tied_output_layer_is_repacked_into_a_second_copy(tmp_path):
    tokenizer = make_tiny_gguf(tmp_path / "bytes.gguf")
    shape = SyntheticShape(n_layer=2, n_embd=256, n_ff=512, n_head=4, n_head_kv=4, n_vocab=512)
    for tied in (True, False):
        chosen = dataclasses.replace(shape, tied=tied)
        model = read_model_file(make_synthetic(tmp_path / "m.gguf", chosen, "q4_0", tokenizer_from=tokenizer))
        copy = 512 * 256 // 32 * 18 if tied else 0
        assert weight_memory(model, use_mmap=True, repack=True).resident_bytes == model.weights_bytes + copy


def test_agrees_with_llama_cpp_on_a_tiny_model(model):
    assert_agrees_with_llama_cpp(model.path)


@pytest.mark.model
@pytest.mark.skipif(not bundled("smollm2-135m").installed, reason="SmolLM2 is not installed")
def test_agrees_with_llama_cpp_on_smollm2():
    assert_agrees_with_llama_cpp(bundled("smollm2-135m").locate())


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.skipif(not bundled("gemma3-270m").installed, reason="Gemma 3 is not installed")
def test_agrees_with_llama_cpp_on_sliding_windows():
    assert_agrees_with_llama_cpp(bundled("gemma3-270m").locate())


def test_by_hand(model):
    n_ctx, settings = 1024, EngineSettings(n_seq_max=2, type_v="q8_0")
    ours = estimate(model, settings, n_ctx)
    assert ours.kv_bytes == 3 * n_ctx * (2 * 32 * 2 + 2 * 32 // 32 * 34)
    assert ours.output_bytes == 2 * 261 * 4
    assert ours.weights_bytes == model.weights_bytes
    assert ours.total_bytes == ours.weights_bytes + ours.kv_bytes + ours.output_bytes + ours.compute_bytes


def test_contexts_are_padded_as_llama_cpp_does(model):
    assert [estimate(model, EngineSettings(), n_ctx).n_ctx for n_ctx in (1, 256, 257)] == [256, 256, 512]
    assert estimate(model, EngineSettings(n_seq_max=3, kv_unified=False), 1000).n_ctx == 3 * 512


@pytest.mark.parametrize("n_ctx", [10**9, 2**31, 2**63])
def test_what_no_machine_holds_is_refused_at_once_and_without_allocating(model, n_ctx):
    tracemalloc.start()
    with pytest.raises(OutOfMemory) as caught:
        check_fits(model, EngineSettings(), n_ctx)
    assert tracemalloc.get_traced_memory()[1] < 16 * MIB
    tracemalloc.stop()
    started = time.perf_counter()
    with pytest.raises(OutOfMemory):
        check_fits(model, EngineSettings(n_seq_max=3), n_ctx)
    assert time.perf_counter() - started < 1, "0.1 s on an idle machine"
    assert caught.value.need_bytes > estimate(model, EngineSettings(), n_ctx).kv_bytes > caught.value.have_bytes
    assert re.search(r"needs [\d,.]+ GiB, this machine has [\d,.]+ GiB", str(caught.value))


@pytest.mark.parametrize(
    "settings", [{}, {"n_seq_max": 4, "kv_unified": False}, {"flash_attn": False}, {"n_batch": 2048, "n_ubatch": 2048}]
)
@pytest.mark.parametrize("have", [2 * MIB, 100 * MIB, 2**33, 2**45])
def test_the_largest_context_is_the_largest(model, settings, have):
    chosen = EngineSettings(**settings)
    largest = largest_context(model, chosen, have)
    if largest is None:
        assert estimate(model, chosen, 256).total_bytes > have
        return
    assert estimate(model, chosen, largest).total_bytes <= have
    assert largest == MAX_CONTEXT or estimate(model, chosen, largest + 256).total_bytes > have


def test_the_remedy_names_the_largest_context_that_fits(model):
    have = estimate(model, EngineSettings(), 8192).total_bytes + 1000
    with pytest.raises(OutOfMemory, match="largest n_ctx that fits is 8,192;"):
        check_fits(model, EngineSettings(), 8193, available_bytes=have)
    with pytest.raises(OutOfMemory, match=r"fits is 8,192 \(the model was trained for 16,384\)"):
        check_fits(model, EngineSettings(), 20_000, available_bytes=have)
    check_fits(model, EngineSettings(), 8192, available_bytes=have)


def test_when_nothing_fits(model):
    with pytest.raises(OutOfMemory, match="Not even a context of 256"):
        check_fits(model, EngineSettings(), 512, available_bytes=1000)
    assert largest_context(model, EngineSettings(), 1000) is None


def test_loaded_weights_are_not_counted_again(model):
    have = estimate(model, EngineSettings(), 512).context_bytes
    check_fits(model, EngineSettings(), 512, available_bytes=have, weights_loaded=True)
    with pytest.raises(OutOfMemory):
        check_fits(model, EngineSettings(), 512, available_bytes=have)


def test_beyond_what_llama_cpp_counts(model):
    check_fits(model, EngineSettings(), MAX_CONTEXT, available_bytes=2**60)
    with pytest.raises(InvalidSettings, match="counts to"):
        check_fits(model, EngineSettings(), MAX_CONTEXT + 1, available_bytes=2**60)
    for n_ctx in (0, -5):
        with pytest.raises(InvalidSettings, match="at least 1"):
            estimate(model, EngineSettings(), n_ctx)


def test_a_model_without_attention_keeps_no_kv(model):
    none = dataclasses.replace(model, layers=(), n_head=(0,), n_head_kv=(0,))
    assert estimate(none, EngineSettings(flash_attn=False), 4096).kv_bytes == 0


def test_widths_that_differ_are_padded_for_v_without_flash_attention(model):
    wide, narrow = model.layers[0], dataclasses.replace(model.layers[0], v_width=16)
    mixed = dataclasses.replace(model, layers=(wide, narrow))
    with_flash = estimate(mixed, EngineSettings(flash_attn=True), 256).kv_bytes
    without = estimate(mixed, EngineSettings(flash_attn=False), 256).kv_bytes
    assert with_flash == 256 * 2 * (64 + 64 + 64 + 16)
    assert without == 256 * 2 * 4 * 64

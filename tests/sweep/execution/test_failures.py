import pytest

from workbench.sweep.execution.failures import describe, of_death, of_error


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("MemoryError", ""),
        ("_ArrayMemoryError", "Unable to allocate 7.28 TiB for an array with shape (1000000000000,)"),
        ("OutOfMemory", "tiny with n_ctx=512 needs 3.00 GiB, this machine has 1.00 GiB free."),
        ("OutOfMemoryError", "CUDA out of memory. Tried to allocate 20.00 GiB."),
        ("RuntimeError", "CUDA error: out of memory"),
        ("RuntimeError", "ggml_backend_cuda_buffer_type_alloc_buffer: cudaMalloc failed: out of memory"),
        ("ModelLoadError", "m.gguf: llama.cpp could not load it. It said: unable to allocate CUDA0 buffer"),
        ("OSError", "[Errno 12] Cannot allocate memory"),
        ("WorkerDied", "the engine's process died (SIGABRT). It ran out of memory. Use a smaller n_ctx."),
    ],
)
def test_out_of_memory_in_all_its_words(name, text):
    assert of_error(name, text) == "out_of_memory"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ValueError", "n_batch must be positive"),
        ("AssertionError", "it did not say 'CUDA out of memory'"),
        ("WorkerDied", "the engine's process died (SIGKILL). Probably the system's out-of-memory killer, or kill -9."),
        ("ModelLoadError", "m.gguf: llama.cpp could not load it. It said: unknown architecture"),
    ],
)
def test_what_is_not_sure_is_an_error(name, text):
    assert of_error(name, text) == "error"


def test_a_worker_that_the_system_killed_meanwhile_was_out_of_memory():
    said = "the engine's process died (SIGKILL). Probably the system's out-of-memory killer, or somebody's kill -9."
    assert of_error("WorkerDied", said, oom_kills=1) == "out_of_memory"
    assert of_error("WorkerDied", said.replace("SIGKILL", "SIGSEGV"), oom_kills=1) == "error"


@pytest.mark.parametrize(
    ("exit_code", "said", "kills", "reason"),
    [
        (-9, "", 0, "died"),
        (-9, "", 1, "out_of_memory"),
        (-11, "", 1, "died"),
        (-6, "terminate called after throwing an instance of 'std::bad_alloc'", 0, "out_of_memory"),
        (-6, "GGML_ASSERT(n_tokens <= n_batch) failed", 0, "died"),
        (1, "", 0, "died"),
        (None, "", 0, "died"),
    ],
)
def test_deaths(exit_code, said, kills, reason):
    assert of_death(exit_code, said, oom_kills=kills) == reason


@pytest.mark.parametrize(
    ("exit_code", "says"),
    [
        (-9, "killed by SIGKILL"),
        (-40, "killed by signal 40"),
        (3, "exit status 3"),
        (None, "it does not answer"),
    ],
)
def test_ends_in_words(exit_code, says):
    assert describe(exit_code) == says

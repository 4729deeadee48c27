import pytest

from workbench.dashboard import units


@pytest.mark.parametrize(
    ("metric", "name", "symbol"),
    [
        ("decode_tps", "Decode speed", "tokens/s"),
        ("prefill_tps", "Prefill speed", "tokens/s"),
        ("ttft_ms", "Time to first token", "ms"),
        ("ttft_p95_ms", "Time to first token p95", "ms"),
        ("itl_ms", "Inter-token latency", "ms"),
        ("load_ms", "Load time", "ms"),
        ("elapsed_s", "Elapsed time", "s"),
        ("rss_bytes", "Resident memory", "MiB"),
        ("resident_bytes", "Resident memory", "MiB"),
        ("kv_bytes", "KV cache", "MiB"),
        ("gpu_joules", "GPU energy", "J"),
        ("joules_per_token", "Joules per token", "J/token"),
        ("decode_joules_per_token", "Decode", "J/token"),
        ("output_tokens", "Output", "tokens"),
        ("goodput_rps", "Goodput", "requests/s"),
        ("gpu0_power_w", "GPU 0 power", "W"),
        ("gpu12_sm_clock_mhz", "GPU 12 SM clock", "MHz"),
        ("cpu_temperature_c", "CPU temperature", "°C"),
        ("cpu_percent", "CPU", "%"),
        ("perplexity", "Perplexity", ""),
        ("kl_divergence", "KL divergence", ""),
        ("_ms", "Ms", ""),
    ],
)
def test_a_metric_has_a_name_for_people_and_the_unit_of_its_suffix(metric: str, name: str, symbol: str) -> None:
    assert (units.metric_name(metric), units.unit_of(metric).symbol) == (name, symbol)


def test_an_axis_title_ends_with_the_unit_if_there_is_one() -> None:
    assert units.axis_title("decode_tps") == "Decode speed (tokens/s)"
    assert units.axis_title("perplexity") == "Perplexity"


def test_bytes_are_shown_in_mebibytes() -> None:
    assert units.shown("rss_bytes", 3 * 2**20) == 3.0
    assert units.format_value("rss_bytes", 3 * 2**20) == "3 MiB"


@pytest.mark.parametrize(
    ("value", "text"),
    [(131.04, "131"), (1234567.8, "1,234,568"), (0.5, "0.5"), (0, "0"), (-2.5, "-2.5"), (1e-9, "1.000e-09")]
    + [(missing, "—") for missing in (None, float("nan"), float("inf"))],
)
def test_numbers_have_four_digits_and_absent_ones_are_a_dash(value: float | None, text: str) -> None:
    assert units.format_number(value) == text


@pytest.mark.parametrize(
    ("ratio", "text"), [(1.204, "1.20×"), (1.004, "1.004×"), (0.5, "0.50×"), (250.0, "250×"), (None, "—")]
)
def test_a_ratio_has_a_third_decimal_only_where_two_would_hide_the_difference(ratio: float | None, text: str) -> None:
    assert units.format_ratio(ratio) == text


def test_shares_are_percentages_without_powers_of_ten() -> None:
    assert [units.format_share(share) for share in (0.01, 0.0213, 0.52, 1.08, None)] == [
        "1 %",
        "2.1 %",
        "52 %",
        "108 %",
        "—",
    ]

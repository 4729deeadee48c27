"""A machine as far as a fit needs to know it: free memory and cores. Plain data, so any machine can be described."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.errors import InvalidSettings

UNREAD_SHARE = 0.8
"""Share of a GPU's memory that is counted on where what is free cannot be read. An allowance, not a measurement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuMemory:
    """Memory of one GPU.

    Attributes:
        total_bytes: on the board.
        free_bytes: what could be allocated now; ``None``: it cannot be read.
        name: product name.
    """

    total_bytes: int
    free_bytes: int | None = None
    name: str = "GPU"

    @property
    def usable_bytes(self) -> int:
        """What is free, or a careful share of the whole."""
        return int(UNREAD_SHARE * self.total_bytes) if self.free_bytes is None else self.free_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a model may use.

    Attributes:
        host_free_bytes: RAM that can be taken.
        physical_cores: cores, each with one thread.
        gpus: in the order in which llama.cpp numbers them.
    """

    host_free_bytes: int
    physical_cores: int = 1
    gpus: tuple[GpuMemory, ...] = ()

    @classmethod
    def here(cls) -> Machine:
        """This machine, now."""
        from workbench.hardware import cores, gpus, ram, read_gpu

        found = [
            GpuMemory(
                total_bytes=gpu.memory_total_bytes,
                free_bytes=read_gpu(gpu.index).memory_free_bytes,
                name=gpu.name or f"GPU {gpu.index}",
            )
            for gpu in gpus()
            if gpu.memory_total_bytes
        ]
        available = cores()
        return cls(
            host_free_bytes=ram().available_bytes,
            physical_cores=min(available.physical or available.usable, available.usable),
            gpus=tuple(found),
        )


def parse_sizes(text: str) -> list[int]:
    """Sizes as people write them: "8GB,24GB" or "512MiB"; GB counts 2**30 bytes, as makers of memory do.

    Raises:
        InvalidSettings: no size.
    """
    return [_parse_size(part) for part in text.split(",")]


def _parse_size(text: str) -> int:
    units = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
    number = text.strip().upper().removesuffix("B").removesuffix("I")
    unit = number[-1:] if number[-1:].isalpha() else ""
    try:
        size = int(float(number.removesuffix(unit)) * units[unit])
    except (ValueError, KeyError, OverflowError):
        raise InvalidSettings(f"{text!r} is no size. Write it as in 8GB or 512MB.") from None
    if size < 0:
        raise InvalidSettings(f"{text!r} is no size: it is negative.")
    return size

"""A fit as text and as JSON, and machines as people describe them."""

from __future__ import annotations

import dataclasses
import json

from workbench.models.fitting import Fit
from workbench.models.machine import GpuMemory, Machine, parse_sizes


def described_machine(vram: str | None, ram: str | None) -> Machine:
    """This machine, with other GPUs or other RAM: ``vram="8GB,24GB"``, ``ram="16GB"``; ``vram="0"``: no GPU.

    Raises:
        InvalidSettings: no sizes.
    """
    machine = Machine.here()
    if vram is not None:
        sizes = [size for size in parse_sizes(vram) if size]
        gpus = tuple(
            GpuMemory(total_bytes=size, free_bytes=size, name=f"GPU {number}") for number, size in enumerate(sizes)
        )
        machine = dataclasses.replace(machine, gpus=gpus)
    if ram is not None:
        machine = dataclasses.replace(machine, host_free_bytes=sum(parse_sizes(ram)))
    return machine


def as_text(found: Fit) -> str:
    """A table with the reasons, and the call that uses it."""
    rows = found.table()
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    lines = [f"{found.model}, {found.total_bytes / 2**30:.2f} GiB in all", ""]
    lines += [f"{name:<{widths[0]}}  {value:<{widths[1]}}  {why}" for name, value, why in rows]
    how = "computed tensor by tensor" if found.exact else "the compute buffer approximated, with a margin"
    lines += ["", f"The estimate is {how}, times {found.factor:.2f} to be safe.", "", f"wb.load(..., {_call(found)})"]
    return "\n".join(lines)


def to_json(found: Fit) -> str:
    """Everything of a fit."""
    return json.dumps(
        {
            "model": found.model,
            "settings": found.settings.to_dict(),
            "n_ctx": found.n_ctx,
            "total_bytes": found.total_bytes,
            "exact": found.exact,
            "factor": found.factor,
            "devices": [{**dataclasses.asdict(load), "total_bytes": load.total_bytes} for load in found.loads],
            "choices": [dataclasses.asdict(choice) for choice in found.choices],
        },
        indent=1,
    )


def _call(found: Fit) -> str:
    """The settings that are not what they would be anyway."""
    plain = type(found.settings)().to_dict()
    chosen = found.settings.to_dict()
    return ", ".join(f"{name}={value!r}" for name, value in chosen.items() if value != plain[name])

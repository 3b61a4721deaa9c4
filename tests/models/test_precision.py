"""Which devices have bfloat16."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest
import torch

from genre_app.models.precision import has_bfloat16

CPUINFO = Path("/proc/cpuinfo")


@pytest.mark.skipif(platform.machine() != "x86_64" or not CPUINFO.exists(), reason="needs the flags of an x86 CPU")
def test_a_cpu_has_what_the_system_says():
    flags = set(CPUINFO.read_text().partition("flags")[2].partition("\n")[0].split())
    assert has_bfloat16(torch.device("cpu")) == bool(flags & {"avx512_bf16", "amx_bf16"})


def test_other_devices_have_none():
    assert not has_bfloat16(torch.device("meta"))

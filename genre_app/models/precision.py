"""Which devices compute faster in bfloat16 than in float32, and what is computed in float32 on all of them."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def has_bfloat16(device: torch.device) -> bool:
    """Return whether a GPU or an x86 CPU multiplies bfloat16 in hardware; where it is emulated, float32 is faster.

    Of other devices it is not known whether bfloat16 is faster, so the answer is no.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    found = torch.cpu.get_capabilities()
    return device.type == "cpu" and any(found.get(name, False) for name in ("avx512_bf16", "amx_bf16"))


def without_autocast(device: torch.device) -> AbstractContextManager[object]:
    """Return a context that keeps the precision of its tensors; the meta device, which has only shapes, has no autocast."""
    has_autocast = torch.amp.autocast_mode.is_autocast_available(device.type)
    return torch.autocast(device.type, enabled=False) if has_autocast else nullcontext()

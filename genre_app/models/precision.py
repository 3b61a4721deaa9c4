"""Which devices compute faster in bfloat16 than in float32."""

from __future__ import annotations

import torch


def has_bfloat16(device: torch.device) -> bool:
    """Return whether a GPU or an x86 CPU multiplies bfloat16 in hardware; where it is emulated, float32 is faster.

    Of other devices it is not known whether bfloat16 is faster, so the answer is no.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    found = torch.cpu.get_capabilities()
    return device.type == "cpu" and any(found.get(name, False) for name in ("avx512_bf16", "amx_bf16"))

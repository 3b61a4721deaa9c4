"""Join checkpoints into one that averages their answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from genre_app.checkpoint import Checkpoint
from genre_app.checkpoint_header import MAX_MEMBERS
from genre_app.errors import CheckpointError


def combine(parts: Sequence[Checkpoint], weights: Sequence[float] | None = None) -> Checkpoint:
    """Join checkpoints into one that holds the members of all of them.

    The first checkpoint sets the times of the segments and the limits of a sure answer. The temperature is the mean of theirs.
    References of the knn vote are dropped: they hold for the answers of one checkpoint only.

    Parameters
    ----------
    parts : sequence of Checkpoint
        At least one; a single one is returned unchanged.
    weights : sequence of float, optional
        Of each checkpoint, positive; by default equal.

    Raises
    ------
    CheckpointError
        If the genres differ, a weight is not positive, or there are too many members.
    """
    first = parts[0]
    if len(parts) == 1:
        return first
    for part in parts:
        if part.genres != first.genres:
            theirs, ours = ", ".join(part.genres), ", ".join(first.genres)
            raise CheckpointError(
                f"checkpoints {first.name} and {part.name} cannot be combined: their genres are {ours} and {theirs}; "
                "combine checkpoints with the same genres in the same order"
            )
        if part.none_of_these != first.none_of_these:
            raise CheckpointError(f"checkpoints {first.name} and {part.name} differ in which genres mean none of these")
    if weights is None:
        weights = [1.0] * len(parts)
    if len(weights) != len(parts) or not all(weight > 0 for weight in weights) or not math.isfinite(sum(weights)):
        raise CheckpointError(f"give one positive weight for each of the {len(parts)} checkpoints, not {list(weights)}")
    shares = [weight / math.fsum(weights) for weight in weights]
    members = tuple(
        replace(member, weight=member.weight * share)
        for part, share in zip(parts, shares, strict=True)
        for member in part.members
    )
    if len(members) > MAX_MEMBERS:
        raise CheckpointError(f"{len(members)} networks are more than the {MAX_MEMBERS} that a checkpoint may hold")
    history = [
        {"name": part.name, "weight": share, "provenance": part.provenance} for part, share in zip(parts, shares, strict=True)
    ]
    name = " + ".join(part.name for part in parts)
    return Checkpoint(
        members,
        first.genres,
        provenance={"parts": history},
        name=name,
        sure=first.sure,
        temperature=math.fsum(share * part.temperature for part, share in zip(parts, shares, strict=True)),
        none_of_these=first.none_of_these,
    )

"""Checkpoints of the Hugging Face hub, by names such as ``hub:OWNER/NAME``; and the errors of its client in one sentence."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from genre_app.checkpoint_header import MAX_FILE_BYTES
from genre_app.errors import CheckpointError, GenreAppError, first_line

PREFIX = "hub:"
FILE = "model.safetensors"
"""Name of a checkpoint's file on the hub."""


def repository_of(name: str) -> tuple[str, str]:
    """Return ``OWNER/NAME`` and the revision of ``hub:OWNER/NAME`` or ``hub:OWNER/NAME@REVISION``; by default ``main``.

    Raises
    ------
    CheckpointError
        If the name has another form.
    """
    found = re.fullmatch(rf"(?:{PREFIX})?(\w[\w.-]*/\w[\w.-]*)(?:@(\w[\w./-]*))?", name.strip())
    if found is None or ".." in name:
        raise CheckpointError(f"{name} names no model of the hub; write hub:OWNER/NAME or hub:OWNER/NAME@REVISION")
    return found[1], found[2] or "main"


def fetch(name: str) -> Path:
    """Return the file of a checkpoint of the hub, and download it at its first use.

    A name without a revision keeps the version of its first use, so that the same command gives the same answer later, also
    without a network.

    Raises
    ------
    CheckpointError
        If the hub cannot be reached, has no such model, or its file is missing or too large.
    """
    from huggingface_hub import errors, get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache

    repository, revision = repository_of(name)
    with in_a_sentence(name, "model", CheckpointError):
        cached = try_to_load_from_cache(repository, FILE, revision=revision)
        if isinstance(cached, str):
            return Path(cached)
        try:
            size = get_hf_file_metadata(hf_hub_url(repository, FILE, revision=revision)).size or 0
        except errors.EntryNotFoundError as error:
            raise CheckpointError(f"{name} has no file {FILE}, so it is no model of this program; name another") from error
        if size > MAX_FILE_BYTES:
            raise CheckpointError(
                f"{name}: {size / 1e9:.1f} GB are more than the {MAX_FILE_BYTES / 1e9:.0f} GB of a checkpoint"
            )
        return Path(hf_hub_download(repository, FILE, revision=revision))


@contextmanager
def in_a_sentence(shown: str, kind: str, raised: type[GenreAppError]) -> Iterator[None]:
    """Turn the errors of the hub's client into one sentence.

    Parameters
    ----------
    shown : str
        Name that the user wrote.
    kind : {"model", "data set"}
    raised : type
        Class of the error that is raised.
    """
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError as error:
        raise raised(f"{shown} requires you to accept its terms on its page; then log in with: hf auth login.") from error
    except errors.RevisionNotFoundError as error:
        raise raised(f"{shown}: the {kind} has no such revision; name another, or none.") from error
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        raise raised(f"{shown}: the hub has no such public {kind}; check it, or log in with: hf auth login.") from error
    except errors.LocalTokenNotFoundError as error:
        raise raised(f"{shown}: you are not logged in to the hub; log in with: hf auth login.") from error
    except (errors.HTTPError, OSError) as error:  # type: ignore[attr-defined]  # HTTPError is that of the client's HTTP library
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            raise raised(f"{shown} cannot be saved, since the disk is full; free some space and start again.") from error
        what = f"cannot be reached ({first_line(error)}); check the connection and start again"
        raise raised(f"{shown} {what}{'; finished parts are kept.' if kind == 'data set' else '.'}") from error

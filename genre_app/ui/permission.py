"""Who may train on this page: everybody at home, the owner on a public Space.

Training takes the machine for hours and fills its disk, so strangers may not. Every handler that changes something asks here,
for a button that is not shown can still be pressed by a program.
"""

from __future__ import annotations

import os

import gradio as gr
from gradio.utils import get_space

from genre_app.errors import GenreAppError

SWITCH = "GENRE_APP_ALLOW_TRAINING"
"""Environment variable by which the owner of a Space lets all its visitors train."""


class NotAllowedError(GenreAppError):
    """A visitor may not do this; the message is one sentence for them."""


def on_space() -> bool:
    """Whether the page is served by Hugging Face Spaces, to strangers."""
    return bool(os.environ.get("SPACE_ID"))


def shown_data() -> str | None:
    """Return what stands for the place of the data where visitors see it; None at home, where it is no secret."""
    return "DATA" if on_space() else None


def owner() -> str:
    """Name of the Space's owner; empty at home."""
    return os.environ.get("SPACE_AUTHOR_NAME") or os.environ.get("SPACE_ID", "").partition("/")[0]


def login_offered() -> bool:
    """Whether the owner can sign in: on a Space whose settings ask for OAuth."""
    # Without the first, gradio would sign every visitor in as whoever's token lies on the machine; without the others, it would
    # not start.
    return get_space() is not None and on_space() and all(map(os.environ.get, ("OAUTH_CLIENT_ID", "OAUTH_CLIENT_SECRET")))


def refusal(profile: gr.OAuthProfile | None) -> str | None:
    """Return in a sentence why this visitor may not train, None if they may."""
    if not on_space() or os.environ.get(SWITCH) == "1":
        return None
    who = owner()
    if profile is not None and who and profile.username.casefold() == who.casefold():
        return None
    if profile is not None:
        return (
            f"You are signed in as {profile.username}; only the Space's owner, {who}, may train here. You can watch the runs."
        )
    way = "sign in above" if login_offered() else "turn on hf_oauth in the Space's README and sign in"
    return (
        f"Training is off on this public page, since it would take the machine from its visitors; its owner can {way}, or set "
        f"{SWITCH}=1 in the Space's settings. You can watch the runs."
    )


def check(profile: gr.OAuthProfile | None) -> None:
    """Let those pass who may train.

    Raises
    ------
    NotAllowedError
    """
    sentence = refusal(profile)
    if sentence is not None:
        raise NotAllowedError(sentence)

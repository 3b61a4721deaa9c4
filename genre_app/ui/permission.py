"""Who may train on this page: everybody at home, only the owner on a public Space.

Training uses the machine for hours and fills its disk, so strangers may not train. Every handler that changes something calls
`check`: hiding a button is not enough, because a program can still call its handler.
"""

from __future__ import annotations

import os

import gradio as gr
from gradio.utils import get_space

from genre_app.errors import GenreAppError

SWITCH = "GENRE_APP_ALLOW_TRAINING"
"""Environment variable with which the owner of a Space lets all visitors train."""


class NotAllowedError(GenreAppError):
    """The visitor may not do this."""


def on_space() -> bool:
    """Return whether Hugging Face Spaces serves the page, to strangers."""
    return bool(os.environ.get("SPACE_ID"))


def shown_data() -> str | None:
    """Return the text that hides the path of the data from visitors; None at home, where the path may be seen."""
    return "DATA" if on_space() else None


def owner() -> str:
    """Return the name of the Space's owner; empty at home."""
    return os.environ.get("SPACE_AUTHOR_NAME") or os.environ.get("SPACE_ID", "").partition("/")[0]


def login_offered() -> bool:
    """Return whether the owner can sign in: only on a Space that is set up for OAuth."""
    # Outside a Space, gradio signs every visitor in with the token that it finds on the machine. Without the OAuth variables it
    # does not start.
    return get_space() is not None and on_space() and all(map(os.environ.get, ("OAUTH_CLIENT_ID", "OAUTH_CLIENT_SECRET")))


def refusal(profile: gr.OAuthProfile | None) -> str | None:
    """Return a sentence on why this visitor may not train; None if they may."""
    if not on_space() or os.environ.get(SWITCH) == "1":
        return None
    who = owner()
    if profile is not None and who and profile.username.casefold() == who.casefold():
        return None
    if profile is not None:
        return f"You are signed in as {profile.username}. Only the Space's owner, {who}, can train. You can watch the runs."
    way = "sign in above" if login_offered() else "turn on hf_oauth in the Space's README and sign in"
    return (
        f"You can watch the runs, but not train on this public page. To train, its owner can {way}, or set {SWITCH}=1 in the "
        "Space's settings."
    )


def check(profile: gr.OAuthProfile | None) -> None:
    """Refuse visitors who may not train.

    Raises
    ------
    NotAllowedError
        With a sentence for the visitor.
    """
    sentence = refusal(profile)
    if sentence is not None:
        raise NotAllowedError(sentence)

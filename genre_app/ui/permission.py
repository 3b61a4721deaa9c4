"""Who may train on this page: everybody if only this machine can open it, the owner on a public Space, else who has signed in.

Training uses the machine for hours and fills its disk, so strangers may not train. Every handler that changes something calls
`check`: hiding a button is not enough, because a program can still call its handler.
"""

from __future__ import annotations

import ipaddress
import os
from contextlib import suppress

import gradio as gr
from gradio.utils import get_space

from genre_app.errors import GenreAppError

SWITCH = "GENRE_APP_ALLOW_TRAINING"
"""Environment variable that lets all visitors train; its value must be 1."""

LOGIN = "GENRE_APP_LOGIN"
"""Environment variable with the name and the password, NAME:PASSWORD, that open the page. Who has signed in may train."""

HOSTS = "GENRE_APP_HOSTS"
"""Environment variable with further names of this page, separated by commas: those of a reverse proxy."""

_MIN_PASSWORD = 8  # characters; the least of NIST SP 800-63B


class NotAllowedError(GenreAppError):
    """The visitor may not do this."""


def on_space() -> bool:
    """Return whether Hugging Face Spaces serves the page, to strangers."""
    return bool(os.environ.get("SPACE_ID"))


def on_network() -> bool:
    """Return whether other machines can open the page: at another address, by a share link, or through a reverse proxy."""
    name = os.environ.get("GRADIO_SERVER_NAME") or "127.0.0.1"
    is_loopback = name == "localhost"
    with suppress(ValueError):  # another name, of which nothing is known
        is_loopback = is_loopback or ipaddress.ip_address(name).is_loopback
    return not is_loopback or shares() or bool(os.environ.get(HOSTS))


def shares() -> bool:
    """Return whether gradio is asked for a share link, which anybody can open."""
    return os.environ.get("GRADIO_SHARE", "").lower() == "true"


def login() -> tuple[str, str] | None:
    """Return the name and the password that every visitor must enter, None if there is no login.

    Raises
    ------
    GenreAppError
        If the variable is not a name and a password.
    """
    name, colon, password = os.environ.get(LOGIN, "").partition(":")
    if not name and not colon:
        return None
    if not name or len(password) < _MIN_PASSWORD:
        raise GenreAppError(f"{LOGIN} must be NAME:PASSWORD, with a password of at least {_MIN_PASSWORD} characters.")
    return name, password


def shown_data() -> str | None:
    """Return the text that hides the path of the data from visitors; None if only this machine can open the page."""
    return "DATA" if on_space() or on_network() else None


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
    if os.environ.get(SWITCH) == "1" or not (on_space() or on_network()):
        return None
    if not on_space():
        if login() is not None:  # gradio has asked for it
            return None
        return (
            f"You can watch the runs, but not train, because other machines can open this page. To train here, set "
            f"{LOGIN}=NAME:PASSWORD before you start it, or serve it at 127.0.0.1."
        )
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

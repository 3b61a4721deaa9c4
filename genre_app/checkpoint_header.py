"""The header of a checkpoint file: everything but the tensors.

The metadata of the file has one key, ``genre_app``, whose value is JSON: the fields of `Header`. Version 1 is still read: it
holds one network, with ``spec`` and ``model`` in place of ``members``, and without ``sure``. ``temperature`` and
``none_of_these`` may be missing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

from genre_app.errors import first_line
from genre_app.features import FeatureSpec
from genre_app.features.spec import MAX_SEGMENT_VALUES
from genre_app.sure import SureLimits

FORMAT_VERSION: Literal[2] = 2
KEY = "genre_app"
MAX_MEMBERS = 16

# Far above every checkpoint of the project, so that a hostile file cannot exhaust memory.
MAX_FILE_BYTES = 1_000_000_000
_MAX_GENRES = 1000
_MAX_GENRE_LENGTH = 40


class UnusableError(Exception):
    """The file cannot be used; the message continues "checkpoint PATH ..."."""


class ModelEntry(BaseModel):
    """Name and settings of the network."""

    model_config = ConfigDict(extra="forbid")
    name: str
    settings: dict[str, JsonValue]


class KnnEntry(BaseModel):
    """Settings of the knn vote."""

    model_config = ConfigDict(extra="forbid")
    k: int = Field(ge=1)


class MemberEntry(BaseModel):
    """One network: its features, its name and settings, and its share of the answer."""

    model_config = ConfigDict(extra="forbid")
    spec: FeatureSpec
    model: ModelEntry
    weight: float = Field(gt=0, le=1)
    temperature: float = Field(gt=0, le=100)


class _Common(BaseModel):
    """The part of the header that all versions have."""

    model_config = ConfigDict(extra="forbid")
    genres: list[str] = Field(min_length=2)
    metrics: dict[str, JsonValue]
    provenance: dict[str, JsonValue]
    knn: KnnEntry | None

    @field_validator("genres")
    @classmethod
    def _are_names(cls, genres: list[str]) -> list[str]:
        check_genres(genres)
        return genres


class Header(_Common):
    """The JSON in the metadata of the file."""

    format_version: Literal[2]
    members: list[MemberEntry] = Field(min_length=1, max_length=MAX_MEMBERS)
    sure: SureLimits
    temperature: float = Field(default=1.0, gt=0, le=100)
    none_of_these: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _are_genres(self) -> Self:
        if len(set(self.none_of_these)) < len(self.none_of_these) or not set(self.none_of_these) < set(self.genres):
            raise ValueError("none_of_these must name some of the genres, each once, and leave at least one")
        return self

    @field_validator("members")
    @classmethod
    def _fit_together(cls, members: list[MemberEntry]) -> list[MemberEntry]:
        if not math.isclose(math.fsum(member.weight for member in members), 1.0, rel_tol=1e-9):
            raise ValueError("the weights of the members do not sum to one")
        if sum(member.spec.segment_values for member in members) > MAX_SEGMENT_VALUES:
            raise ValueError(f"the segments of all members together may have {MAX_SEGMENT_VALUES} values")
        return members


class _Header1(_Common):
    format_version: Literal[1]
    spec: FeatureSpec
    model: ModelEntry

    def renewed(self) -> Header:
        """Return the same as a header of today."""
        return Header(
            format_version=FORMAT_VERSION,
            members=[MemberEntry(spec=self.spec, model=self.model, weight=1.0, temperature=1.0)],
            sure=SureLimits(),
            **{name: getattr(self, name) for name in _Common.model_fields},
        )


class _Version(BaseModel):
    format_version: int


def check_genres(genres: Sequence[str]) -> None:
    """Refuse genres whose names a checkpoint cannot hold.

    Raises
    ------
    ValueError
        Names the genre and the reason, in one part of a sentence.
    """
    if len(genres) > _MAX_GENRES:
        raise ValueError(f"{len(genres)} genres are more than {_MAX_GENRES}")
    known: dict[str, str] = {}
    for genre in genres:
        # Tables, CSV and JSON show each name on one line.
        if not genre.strip() or genre != genre.strip() or not genre.isprintable() or len(genre) > _MAX_GENRE_LENGTH:
            shown = f"{genre[:_MAX_GENRE_LENGTH]!r}{'...' if len(genre) > _MAX_GENRE_LENGTH else ''}"
            raise ValueError(
                f"the genre {shown} is not a printable name of 1 to {_MAX_GENRE_LENGTH} letters without spaces around it"
            )
        other = known.setdefault(genre.casefold(), genre)
        if other != genre:
            raise ValueError(f"the genres {other!r} and {genre!r} differ only in upper and lower case")
    if len(known) < len(genres):
        raise ValueError("a genre is named twice")


def parse_header(text: str | None) -> tuple[Header, list[str]]:
    """Return the header, and the prefix of each member's tensors.

    Raises
    ------
    UnusableError
    """
    if text is None:
        raise UnusableError(f"is a safetensors file without a {KEY} header, so not one of this project")
    try:
        version = _Version.model_validate_json(text).format_version
        if version not in (1, FORMAT_VERSION):
            raise UnusableError(
                f"has format version {version}, this program reads versions 1 to {FORMAT_VERSION}; "
                f"{'update the program' if version > FORMAT_VERSION else 'train it again'}"
            )
        if version == 1:
            header, prefixes = _Header1.model_validate_json(text).renewed(), ["model."]
        else:
            header = Header.model_validate_json(text)
            prefixes = [f"members.{index}." for index in range(len(header.members))]
        # The JSON number 1e999 is read as infinity, which could not be written as JSON again.
        json.dumps([header.metrics, header.provenance], allow_nan=False)
    except ValueError as error:
        raise UnusableError(f"has a malformed header: {first_line(error)}") from error
    return header, prefixes

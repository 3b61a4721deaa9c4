"""Tests of `genre_app.teaching`."""

"""Tests of `genre_app.data.collection`."""

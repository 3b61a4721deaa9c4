"""Tests of `genre_app.ui.teach`."""

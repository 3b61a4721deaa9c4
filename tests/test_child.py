"""Modules in processes of their own."""

from __future__ import annotations

import subprocess

from genre_app import child


def test_what_a_process_prints_is_utf8_whatever_the_encoding_of_the_system(tmp_path, monkeypatch):
    (tmp_path / "says.py").write_text("print('caf\\u00e9 \\u2192')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONIOENCODING", "cp1252:replace")
    out, _ = child.start("says", stdout=subprocess.PIPE).communicate()
    assert out.decode("utf-8") == "caf\u00e9 \u2192\n"

"""Classify a folder of music once, and keep what was found in a catalogue.

`scan` finds new, changed and removed files; `classify` answers for new contents, in several processes; `catalogue` keeps the
`records` in SQLite. `report` and `playlists` show them, and `tags` writes sure genres into the files.
"""

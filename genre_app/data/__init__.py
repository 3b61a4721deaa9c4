"""Labelled music: from a folder, a zip, a cache, a table or a data set of the hub to tensors on a device.

The path of the data is a straight line, and no module imports a later one:

1. `genre_app.data.tracks`: `AudioTrack` (a file and its genre) and `CachedTrack` (rows of a cache).
2. `genre_app.data.cache`: `MelCache` and `FeatureTable` hold the rows of many tracks; `prepare` computes them from audio files,
   once, in several processes.
3. `genre_app.data.sources`: `open_source` downloads or unpacks what the user named. It returns an `AudioFolder`, or the cache
   or table that is there already.
4. `genre_app.data.splits`: `divide` puts whole tracks into train, valid and test.
5. `genre_app.data.labelled`: `open_data` goes through 3, 2 and 4 and returns `Data`.
6. `genre_app.data.dataset`: `MelDataset` and `TableDataset` load a split onto a device and cut segments from it.
   `genre_app.data.pool` gives them tracks with changed waveforms.
"""

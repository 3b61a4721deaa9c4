"""Operations on the samples of a track, counterparts of `genre_app.augment.logmel_ops`."""

"""``python -m genre_app``: the same as ``genre-app``."""

from genre_app.cli import main

if __name__ == "__main__":
    main()

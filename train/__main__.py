"""``python -m train RECIPE --data DATA``: the same as ``genre-app train``."""

import sys

from genre_app.cli import main

if __name__ == "__main__":
    sys.argv.insert(1, "train")
    main()

"""Published networks as checkpoints.

`bundle` reads TensorFlow's checkpoint files without TensorFlow; `musicnn` gets the published file and makes the checkpoint.
"""

from genre_app.pretrained.musicnn import load_pretrained

__all__ = ["load_pretrained"]

"""Where tracks come from: folders of audio, mel caches, and what training draws from them."""

"""A collection: clips that a visitor recorded, dropped or corrected, in genre folders, with a table of where each comes from.

`names` checks the names of genres, `index` reads and writes the table, `folders` joins and deletes genres, `collection` adds,
moves and deletes clips, and `transfer` exports and imports a zip. A collection is also a folder of genre folders, so training
opens it as it is.
"""

from genre_app.data.collection.collection import Added as Added
from genre_app.data.collection.collection import Collection as Collection
from genre_app.data.collection.collection import Limits as Limits
from genre_app.data.collection.index import CollectedClip as CollectedClip
from genre_app.data.collection.index import Contents as Contents

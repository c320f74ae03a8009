"""Search in pictures that belong to no data set."""

from .gallery_index import GalleryIndex
from .inferencer import PersonSearchInferencer
from .matches import Match, Source
from .stored_index import stored_index

__all__ = [
    'GalleryIndex',
    'Match',
    'PersonSearchInferencer',
    'Source',
    'stored_index',
]

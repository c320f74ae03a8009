"""Search in pictures that belong to no data set."""

from mmps.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    archive='ArchiveWriter',
    gallery_index='GalleryIndex',
    gallery_store='Candidates GalleryStore',
    groups='Group best_groups group_matches',
    inferencer='PersonSearchInferencer',
    lance_store='LanceStore',
    matches='Match Source',
    origins='Origins',
    qdrant_store='QdrantStore',
    where='Where',
    index_file='stored_index',
)

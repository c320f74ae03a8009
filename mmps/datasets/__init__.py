"""Data sets: files on disk -> mmdet ``data_list`` and ``metainfo``."""

from mmps.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    coco_person='CocoPersonDataset',
    cuhk_sysu='CUHKSYSUDataset',
    errors='DatasetError',
    orientation_batches='OrientationBatchSampler',
    pair_dataset='QueryGalleryPairs collate_pairs',
    person_search_dataset='PersonSearchDataset',
    prw='PRWDataset',
    transforms='ClipPeople FloatResize LoadScene PackPersonSearchInputs',
)

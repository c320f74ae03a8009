"""Data sets: files on disk -> mmdet ``data_list`` and ``metainfo``."""

from .coco_person import CocoPersonDataset
from .cuhk_sysu import CUHKSYSUDataset
from .errors import DatasetError
from .orientation_batches import OrientationBatchSampler
from .pair_dataset import QueryGalleryPairs, collate_pairs
from .person_search_dataset import PersonSearchDataset
from .prw import PRWDataset
from .transforms import ClipPeople, LoadScene, PackPersonSearchInputs

__all__ = [
    'CUHKSYSUDataset',
    'ClipPeople',
    'CocoPersonDataset',
    'DatasetError',
    'LoadScene',
    'OrientationBatchSampler',
    'PRWDataset',
    'PackPersonSearchInputs',
    'PersonSearchDataset',
    'QueryGalleryPairs',
    'collate_pairs',
]

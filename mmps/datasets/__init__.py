"""Data sets: files on disk -> mmdet ``data_list`` and ``metainfo``."""

from .cuhk_sysu import CUHKSYSUDataset
from .errors import DatasetError
from .person_search_dataset import PersonSearchDataset
from .transforms import ClipPeople, LoadScene, PackPersonSearchInputs

__all__ = [
    'CUHKSYSUDataset',
    'ClipPeople',
    'DatasetError',
    'LoadScene',
    'PackPersonSearchInputs',
    'PersonSearchDataset',
]

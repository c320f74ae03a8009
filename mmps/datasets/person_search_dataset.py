"""The part that all person search data sets share.

Symbols used in this file:
    P   labelled training identities = rows of the lookup table
    N   people in one image
    K   queries that lie in one image
"""

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from mmdet.datasets import BaseDetDataset
from mmengine.logging import print_log

from mmps.seeding import seed_all
from mmps.structures import UNLABELED

from .errors import DatasetError
from .pictures import picture_size
from .records import ImageRecord, SplitRecords, check_split, who_needs


@dataclass
class SharedNumber:
    """A whole number that the workers of a data loader see changing.

    Persistent workers hold the data set as it was when they were forked, so
    an epoch or a count has to live in shared memory. A copy of a data set
    shares the number; a pickled one gets its own, unless it is pickled for a
    worker.
    """

    start: int = 0
    _cell: torch.Tensor = field(init=False, repr=False)

    def __post_init__(self):
        self._cell = torch.full((1,), self.start).share_memory_()

    def __deepcopy__(self, memo: dict):
        return self

    def __setstate__(self, state: dict):
        self.__dict__.update(state)
        self._cell.share_memory_()

    @property
    def value(self) -> int:
        return int(self._cell[0])

    @value.setter
    def value(self, value: int) -> None:
        self._cell[0] = value


class PersonSearchDataset(BaseDetDataset):
    """Images with people, some of whom have an identity.

    A subclass has a ``read`` that returns ``SplitRecords``; here these become
    mmdet's ``data_list`` and the ``metainfo`` that ``mmps.structures``
    describes. Identities are numbered without gaps: row r of a lookup table
    is ``metainfo['identity_names'][r]``.

    While training, item i of epoch e draws its random numbers from
    (seed, e, i) alone: neither the number of workers nor a resumed run
    changes what it looks like. ``set_epoch`` tells the epoch.

    Args:
        data_root: Folder of the data set; docs/datasets.md has the layouts.
        split: 'train' or 'test'.
        pipeline: Transforms.
        protocols: Names of the test protocols to load; None for all whose
            files are there, an empty sequence for none. Not used for
            training.
        on_bad_image: 'raise' stops at an image that cannot be read; 'skip'
            trains with another one instead, counts it in ``skipped_images``
            and logs it. Testing never skips: a lost image would change the
            score in silence.
        seed: First of the three numbers that seed an item.
        test_mode: Whether items come as they are: nothing filtered, no
            reseeding. None: for the test split.
        filter_cfg: ``dict(filter_empty_gt=False)`` keeps training images
            without any person; they are left out by default.
        metainfo, indices, serialize_data, lazy_init, max_refetch: As in
            mmengine's ``BaseDataset``.
    """

    METAINFO: ClassVar[dict] = dict(
        classes=('person',), palette=[(220, 20, 60)]
    )

    def __init__(
        self,
        *,
        data_root: str,
        split: str = 'train',
        pipeline: Sequence = (),
        protocols: Sequence[str] | None = None,
        on_bad_image: str = 'raise',
        seed: int = 0,
        test_mode: bool | None = None,
        filter_cfg: dict | None = None,
        metainfo: dict | None = None,
        indices: int | Sequence[int] | None = None,
        serialize_data: bool = True,
        lazy_init: bool = False,
        max_refetch: int = 1000,
    ) -> None:
        check_split(split)
        test_mode = split == 'test' if test_mode is None else test_mode
        if on_bad_image not in ('raise', 'skip'):
            raise ValueError(
                f"on_bad_image must be 'raise' or 'skip', got {on_bad_image!r}"
            )
        if on_bad_image == 'skip' and test_mode:
            raise ValueError(
                "on_bad_image='skip' is for training; a test without an image "
                'would have another score'
            )
        if unknown := set(filter_cfg or ()) - {'filter_empty_gt'}:
            raise ValueError(
                f'filter_cfg knows filter_empty_gt, got {sorted(unknown)}'
            )
        if isinstance(protocols, str):
            raise TypeError(f'protocols must be a list, got {protocols!r}')
        self.split = split
        self.protocols = protocols
        self.on_bad_image = on_bad_image
        self.seed = seed
        self._epoch = SharedNumber()
        self._skipped = SharedNumber()
        super().__init__(
            data_root=str(data_root),
            pipeline=list(pipeline),
            test_mode=test_mode,
            filter_cfg=filter_cfg,
            metainfo=metainfo,
            indices=indices,
            serialize_data=serialize_data,
            lazy_init=lazy_init,
            max_refetch=max_refetch,
        )

    def read(self) -> SplitRecords:
        """Read the annotation files of ``self.split``."""
        raise NotImplementedError

    def load_data_list(self) -> list[dict]:
        records = self.read()
        for note in records.notes:
            print_log(note, logger='current', level=logging.WARNING)
        self._metainfo.update(describe(records, self.split))
        data_list = list_images(records, self.split)
        if not data_list:
            raise DatasetError(self.data_root, f'has no {self.split} image')
        return data_list

    def filter_data(self) -> list[dict]:
        wanted = (self.filter_cfg or {}).get('filter_empty_gt', True)
        if self.test_mode or not wanted:
            return self.data_list
        kept = [item for item in self.data_list if item['instances']]
        if not kept:
            raise DatasetError(
                self.data_root, f'no {self.split} image shows a person'
            )
        return kept

    @property
    def epoch(self) -> int:
        return self._epoch.value

    def set_epoch(self, epoch: int) -> None:
        """Tell this process and all its workers which epoch is loaded."""
        self._epoch.value = epoch

    @property
    def skipped_images(self) -> int:
        """How often an image that cannot be read was passed over."""
        return self._skipped.value

    def image_size(self, idx: int) -> tuple[int, int]:
        """Width and height of an image as stored, from the head of its file.

        Raises:
            DatasetError: The file cannot be read, or is too large.
        """
        return picture_size(self.get_data_info(idx)['img_path'])

    def __getitem__(self, idx: int) -> dict:
        if not self.test_mode:
            seed_all(self.seed, self.epoch, idx % len(self))
        return super().__getitem__(idx)

    def prepare_data(self, idx: int) -> dict | None:
        try:
            return super().prepare_data(idx)
        except DatasetError as error:
            if self.on_bad_image == 'raise':
                raise self._with_need(error, idx) from error.__cause__
            self._skipped.value += 1
            print_log(
                f'skipped ({self.skipped_images} so far): {error}',
                logger='current',
                level=logging.WARNING,
            )
            return None

    def _with_need(self, error: DatasetError, idx: int) -> DatasetError:
        """The same error; for a test image, also who is searched in it."""
        meta = self.metainfo
        need = who_needs(
            self.get_data_info(idx)['img_id'],
            meta.get('queries', ()),
            meta.get('protocols', {}),
        )
        problem = '; '.join(part for part in (error.problem, need) if part)
        return DatasetError(error.file, problem, error.hint)


def describe(records: SplitRecords, split: str) -> dict:
    """Return what ``metainfo`` says about the images and their people."""
    metainfo = dict(image_names=[image.name for image in records.images])
    if split == 'train':
        return dict(metainfo, identity_names=records.identity_names)
    return dict(
        metainfo,
        test_identity_names=records.identity_names,
        queries=records.queries,
        protocols=records.protocols,
    )


def list_images(records: SplitRecords, split: str) -> list[dict]:
    """Return mmdet's ``data_list``; docs/design.md describes an item."""
    number = {name: i for i, name in enumerate(records.identity_names)}
    data_list = [
        dict(
            img_id=img_id,
            img_path=image.path,
            img_name=image.name,
            instances=_instances(image, number),
        )
        for img_id, image in enumerate(records.images)
    ]
    if split == 'train':
        return data_list
    inside = defaultdict(list)
    for position, query in enumerate(records.queries):
        inside[query.image].append(position)
    for img_id, item in enumerate(data_list):
        item['query_ids'] = inside[img_id]
        item['query_bboxes'] = [
            records.queries[position].bbox.tolist()
            for position in inside[img_id]
        ]
    return data_list


def _instances(image: ImageRecord, number: dict[str, int]) -> list[dict]:
    return [
        dict(
            bbox=bbox,
            bbox_label=0,
            ignore_flag=0,
            instance_id=UNLABELED if name is None else number[name],
        )
        for bbox, name in zip(
            image.bboxes.tolist(), image.identities, strict=True
        )
    ]

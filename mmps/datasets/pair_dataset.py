"""Pairs of images that share an identity: what a query-guided network sees.

Source: Munjal et al., "Query-guided End-to-End Person Search", CVPR 2019,
section 4: on CUHK-SYSU all ordered pairs of images of every identity.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
import torch
from mmdet.registry import DATASETS
from mmdet.structures import DetDataSample
from mmengine.dataset import pseudo_collate
from mmengine.registry import FUNCTIONS

from mmps.seeding import seed_all, stateless_seed

from .errors import DatasetError
from .person_search_dataset import PersonSearchDataset, SharedNumber
from .transforms import clip

_CAMERA = re.compile(r'c(\d+)s\d+_')
#: Numbers after (seed, epoch) that choose the pairs of an epoch; items are
#: seeded by one number less, so that no item shares their stream.
_CHOICE = (0, 0, 0)


@DATASETS.register_module()
class QueryGalleryPairs(torch.utils.data.Dataset):
    """Ordered pairs (query image, gallery image) of a training set.

    An item is a tuple of what the pipeline makes of both images, flipped
    independently; the metainfo of their samples has ``pair_identity``, the
    identity row that both show. ``collate_pairs`` makes a batch of them.

    Like ``PersonSearchDataset``, item i of epoch e is drawn from (seed, e, i).

    Args:
        dataset: Config of a ``PersonSearchDataset``, split 'train'.
        rule: 'all' ordered pairs of each identity (CUHK-SYSU); or 'capped':
            every (identity, image) once as the query, with up to
            ``per_query`` images of that identity drawn anew each epoch, other
            cameras first (PRW: names start with c<camera>s<sequence>). The
            capped rule is this project's choice.
        per_query: Gallery images of one query, for the capped rule.
        num_pairs: Draw so many of the pairs anew each epoch; None takes all.
        seed: First of the three numbers that seed an item.
    """

    def __init__(
        self,
        *,
        dataset: dict,
        rule: str = 'all',
        per_query: int = 3,
        num_pairs: int | None = None,
        seed: int = 0,
    ) -> None:
        if rule not in ('all', 'capped'):
            raise ValueError(f"rule must be 'all' or 'capped', got {rule!r}")
        if per_query < 1:
            raise ValueError(f'per_query must be >= 1, got {per_query}')
        self.dataset: PersonSearchDataset = DATASETS.build(dataset)
        if self.dataset.split != 'train':
            raise ValueError(
                'pairs are for training: their data set has '
                f'split={self.dataset.split!r}'
            )
        self.rule, self.per_query = rule, per_query
        self.seed = seed
        self._epoch = SharedNumber()
        self._chosen: tuple[tuple[int, int], np.ndarray] | None = None
        self._images = self._images_of_identities()
        total = len(self._pairs(np.random.default_rng(0)))
        if not total:
            raise DatasetError(
                self.dataset.data_root,
                'no identity is in two training images, so that there is no '
                'pair of a query and a gallery image',
            )
        if num_pairs is not None and not 1 <= num_pairs <= total:
            raise ValueError(
                f'num_pairs must be in [1, {total}], the pairs of this data '
                f'set, got {num_pairs}'
            )
        self._length = num_pairs or total

    @property
    def metainfo(self) -> dict:
        """Of the data set below."""
        return self.dataset.metainfo

    def set_epoch(self, epoch: int) -> None:
        """Tell this process and all its workers which epoch is loaded."""
        self._epoch.value = epoch

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> tuple[dict, dict]:
        epoch = self._epoch.value
        query, gallery, identity = self.pairs_of_epoch()[index].tolist()
        seed_all(self.seed, epoch, index)
        pair = tuple(self.dataset.prepare_data(i) for i in (query, gallery))
        for image, item in zip((query, gallery), pair, strict=True):
            if item is None:
                path = self.dataset.get_data_info(image)['img_path']
                raise DatasetError(path, 'a pair needs both of its images')
            self._check_shows(item['data_samples'], identity)
            item['data_samples'].set_metainfo(dict(pair_identity=identity))
        return pair

    def _check_shows(self, sample: DetDataSample, identity: int) -> None:
        """Refuse an image of a pair without a box of the shared person."""
        people, boxes = sample.gt_instances, []
        if 'instances_ids' in people:
            boxes = people.bboxes[people.instances_ids == identity].tolist()
        height, width = sample.img_shape[:2]
        outside = [box for box in boxes if clip(box, height, width) is None]
        if boxes and not outside:
            return
        name = self.metainfo['identity_names'][identity]
        if not boxes:
            raise DatasetError(
                sample.img_path,
                f'does not show {name!r} (row {identity}), for whom it was '
                'paired',
                'a transform has dropped the box (a crop, or '
                'ClipPeople(strict=False) for a box outside the image), or '
                'the pipeline lacks LoadTrackAnnotations',
            )
        raise DatasetError(
            sample.img_path,
            f'the box {outside[0]} (x1 y1 x2 y2) of {name!r}, for whom it '
            'was paired, has no area in the network input of '
            f'{width} x {height} pixels',
            'correct the annotation; ClipPeople behind LoadScene names it in '
            'original pixels',
        )

    def pairs_of_epoch(self) -> np.ndarray:
        """(n, 3) int: query image, gallery image, identity row."""
        key = (self.seed, self._epoch.value)
        if self._chosen is None or self._chosen[0] != key:
            draw = np.random.default_rng(stateless_seed(*key, *_CHOICE))
            pairs = self._pairs(draw)
            if len(pairs) > self._length:
                kept = draw.permutation(len(pairs))[: self._length]
                pairs = pairs[np.sort(kept)]
            self._chosen = (key, pairs)
        return self._chosen[1]

    def _images_of_identities(self) -> dict[int, list[tuple[int, str]]]:
        """Identity row -> (image, its camera) of all images that show it."""
        shown = defaultdict(list)
        for image in range(len(self.dataset)):
            info = self.dataset.get_data_info(image)
            ids = {person['instance_id'] for person in info['instances']}
            match = _CAMERA.match(info['img_name'])
            for identity in sorted(i for i in ids if i >= 0):
                shown[identity].append((image, match[1] if match else ''))
        return dict(sorted(shown.items()))

    def _pairs(self, draw: np.random.Generator) -> np.ndarray:
        pairs = []
        for identity, images in self._images.items():
            for query, camera in images:
                others = [other for other in images if other[0] != query]
                if self.rule == 'capped' and len(others) > self.per_query:
                    others = [others[i] for i in draw.permutation(len(others))]
                    others.sort(key=lambda other: other[1] == camera)
                    others = others[: self.per_query]
                pairs += [(query, image, identity) for image, _ in others]
        return np.array(pairs, dtype=np.int64).reshape(-1, 3)


@FUNCTIONS.register_module()
def collate_pairs(pairs: Sequence[tuple[dict, dict]]) -> dict:
    """B pairs to a batch of 2 B images: all queries, then all galleries."""
    collate: Callable = pseudo_collate
    return collate([q for q, _ in pairs] + [g for _, g in pairs])

"""Load a scene, check its people, pack identities and queries with them.

Symbols used in this file:
    N   people in one image
    K   queries that lie in one image
"""

import math
from typing import ClassVar

import cv2
import mmcv
import numpy as np
import torch
from mmcv.transforms import BaseTransform, LoadImageFromFile
from mmdet.datasets.transforms import PackDetInputs, Resize
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import BaseBoxes
from mmengine.structures import InstanceData

from .clipping import clip
from .errors import DatasetError
from .pictures import check_file


@TRANSFORMS.register_module()
class LoadScene(LoadImageFromFile):
    """``LoadImageFromFile`` whose every failure names the file.

    A file that is missing, empty, cut short or no picture raises
    ``DatasetError``, and so does one whose header gives a size that cannot be
    used (``pictures.check_file``); that one is not decoded. The orientation
    that a camera wrote into a JPEG is not applied: the boxes of the data sets
    belong to the pixels as stored.

    Args:
        color_type: As ``flag`` of ``mmcv.imfrombytes``.
        imdecode_backend: 'cv2' or 'pillow'.
        backend_args: Where files come from, as mmengine's file backends.
    """

    def __init__(
        self,
        *,
        color_type: str = 'color_ignore_orientation',
        imdecode_backend: str = 'cv2',
        backend_args: dict | None = None,
    ) -> None:
        super().__init__(
            color_type=color_type,
            imdecode_backend=imdecode_backend,
            backend_args=backend_args,
        )

    def transform(self, results: dict) -> dict:
        path = results['img_path']
        check_file(path)
        try:
            return super().transform(results)
        except FileNotFoundError:
            raise DatasetError(
                path, 'no such image', 'is the data set complete?'
            ) from None
        except Exception as error:  # cv2 and file backends raise many types
            # without OpenCV's text, which is about its source code
            reason = str(error).removesuffix(f': {path}')
            if isinstance(error, cv2.error):
                reason = 'OpenCV cannot decode it'
            raise DatasetError(
                path,
                f'is no image that can be read ({reason})',
                '`mmps check ROOT --images` finds all such files',
            ) from error


@TRANSFORMS.register_module()
class ClipPeople(BaseTransform):
    """Clip boxes at the borders of the image, refuse impossible ones.

    To be placed behind ``LoadScene``: it works on the annotations as read,
    people and queries alike, in original pixels. A box that is not finite,
    has no area or lies outside the image raises ``DatasetError``.

    Args:
        strict: False leaves an impossible person out, with its identity. An
            impossible query is an error all the same.
    """

    def __init__(self, *, strict: bool = True) -> None:
        self.strict = strict

    def transform(self, results: dict) -> dict:
        kept = []
        for instance in results['instances']:
            bbox = clip(instance['bbox'], *results['ori_shape'])
            if bbox is None and self.strict:
                raise self._error(results, 'a person', instance['bbox'])
            if bbox is not None:
                kept.append(dict(instance, bbox=bbox))
        results['instances'] = kept
        if 'query_bboxes' in results:
            queries = results['query_bboxes']
            clipped = [clip(bbox, *results['ori_shape']) for bbox in queries]
            if None in clipped:
                worst = clipped.index(None)
                number = results.get('query_ids', range(len(queries)))[worst]
                raise self._error(results, f'query {number}', queries[worst])
            results['query_bboxes'] = clipped
        return results

    def _error(self, results: dict, what: str, bbox) -> DatasetError:
        height, width = results['ori_shape']
        return DatasetError(
            results['img_path'],
            f'the box {list(bbox)} (x1 y1 x2 y2) of {what} has no area in '
            f'the image of {width} x {height} pixels',
            'correct the annotation'
            + (', or pass strict=False' if what == 'a person' else ''),
        )


@TRANSFORMS.register_module()
class FloatResize(Resize):
    """``Resize`` as the networks built on torchvision were trained with.

    Pixels are resized as numbers between which nothing is rounded, and sides
    are rounded down; ``Resize`` rounds both to the nearest. Sizes differ by
    one pixel at most, pixels by half a grey level.

    Args:
        scale: Longer and shorter side in pixels; neither is exceeded.
        kwargs: Of ``Resize``; ``keep_ratio`` must be left as it is.
    """

    def __init__(self, scale: tuple[int, int], **kwargs) -> None:
        if not kwargs.setdefault('keep_ratio', True):
            raise ValueError('FloatResize keeps the ratio of the sides')
        super().__init__(scale=tuple(scale), **kwargs)

    def _resize_img(self, results: dict) -> None:
        height, width = results['img'].shape[:2]
        short, long = sorted(results['scale'])
        factor = min(short / min(height, width), long / max(height, width))
        # a hair more, since 900 / 1080 * 1080 may be less than 900
        size = [math.floor(side * factor + 1e-6) for side in (width, height)]
        results['img'] = mmcv.imresize(
            results['img'].astype(np.float32),
            tuple(size),
            interpolation=self.interpolation,
            backend=self.backend,
        )
        results['img_shape'] = results['img'].shape[:2]
        results['scale_factor'] = (size[0] / width, size[1] / height)
        results['keep_ratio'] = True


@TRANSFORMS.register_module()
class PackPersonSearchInputs(PackDetInputs):
    """``PackDetInputs`` that also packs identities and queries.

    ``gt_instances_ids`` becomes ``gt_instances.instances_ids`` (long), and
    the queries that lie in the image become ``query_instances`` (bboxes
    (K, 4) float32 in original pixels, query_ids (K,) long). Boxes are packed
    as plain tensors.

    Stock ``FilterAnnotations`` drops boxes but not their identities, which
    would hand identities to the wrong people; lengths are compared here.
    Without any annotation (inference) the image alone is packed.

    Args:
        meta_keys: Keys of ``results`` that the sample remembers.
    """

    mapping_table: ClassVar[dict] = {
        **PackDetInputs.mapping_table,
        'gt_instances_ids': 'instances_ids',
    }

    def __init__(
        self,
        *,
        meta_keys: tuple[str, ...] = (
            'img_id',
            'img_path',
            'img_name',
            'ori_shape',
            'img_shape',
            'scale_factor',
            'flip',
            'flip_direction',
        ),
    ) -> None:
        super().__init__(meta_keys=meta_keys)

    def transform(self, results: dict) -> dict:
        self._check(results)
        results = dict(results)
        if isinstance(results.get('gt_bboxes'), BaseBoxes):
            results['gt_bboxes'] = results['gt_bboxes'].numpy()
        if 'gt_instances_ids' in results:
            ids = results['gt_instances_ids']
            results['gt_instances_ids'] = ids.astype(np.int64)
        packed = super().transform(results)
        if 'query_ids' in results:
            bboxes = np.array(results['query_bboxes'], dtype=np.float32)
            ids = np.array(results['query_ids'], dtype=np.int64)
            packed['data_samples'].query_instances = InstanceData(
                bboxes=torch.from_numpy(bboxes.reshape(-1, 4)),
                query_ids=torch.from_numpy(ids),
            )
        return packed

    def _check(self, results: dict) -> None:
        people = [len(results.get('gt_bboxes', ()))]
        people.append(len(results.get('gt_instances_ids', ())))
        if people[0] != people[1]:
            raise ValueError(
                f'{results["img_path"]}: {people[1]} identities for '
                f'{people[0]} boxes; a transform dropped boxes without their '
                'identities (stock FilterAnnotations does), or the pipeline '
                'lacks LoadTrackAnnotations'
            )
        if results.get('query_ids') and results.get('flip'):
            raise ValueError(
                f'{results["img_path"]}: the image was flipped, the query '
                'boxes were not; leave RandomFlip out of a test pipeline'
            )

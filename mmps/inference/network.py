"""A trained network with its test pipeline, ready for single pictures."""

from collections.abc import Sequence

import numpy as np
import torch
from mmcv.transforms import LoadImageFromFile
from mmdet.registry import MODELS, TRANSFORMS
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope

from mmps.checkpoints import fill_weights, read_weights
from mmps.configs import config_name, find_config
from mmps.datasets.errors import DatasetError
from mmps.datasets.pictures import check_file, check_size
from mmps.fingerprint import fingerprint
from mmps.plain_model import plain_model
from mmps.zoo import Entry, is_address, load_index, resolve

from .advice import about_training
from .people import People, inside
from .scenes import Scene

#: Score from which on a detection counts, as in ``PersonSearchMetric``.
DET_THR = 0.5


class Network:
    """A ``SearchNetwork`` on torch: preprocesses pictures as a test does.

    Args:
        model: 'zoo://NAME', or a config: a path, or the name of one of mmps.
            A config is never taken out of a checkpoint: configs are programs.
        weights: Path or address of a checkpoint; those of the zoo for None.
        device: 'cpu', 'cuda', 'cuda:1', ...; a GPU if there is one for None.
        proposals: How many boxes people are sought in; the config's
            ``test_cfg.rpn.max_per_img`` for None.
        most_proposals: No more than these, if the config has more.

    Raises:
        CheckpointError: Weights are missing, damaged or of another network.
        InputError: No such config.
        ValueError: No weights, no test pipeline, no embeddings, no proposals,
            or no such device.
    """

    def __init__(
        self,
        model: str,
        weights: str | None,
        device: str | None,
        proposals: int | None = None,
        *,
        most_proposals: int | None = None,
    ) -> None:
        #: What the zoo says of these weights; None: they are of no entry.
        self.entry = _entry(model, weights)
        config, weights = _resolve(model, weights)
        cfg = Config.fromfile(config)
        cfg.model = plain_model(cfg.model)
        cfg.model.train_cfg = None
        if proposals is not None and proposals < 1:
            raise ValueError(f'proposals must be >= 1, got {proposals}')
        # a detector has perhaps no RPN; it is refused below
        rule = (cfg.model.get('test_cfg') or {}).get('rpn') or {}
        #: Proposals that the config asks for.
        self.configured_proposals = rule.get('max_per_img')
        if proposals is not None:
            rule['max_per_img'] = proposals
        elif None not in (most_proposals, self.configured_proposals):
            rule['max_per_img'] = min(rule['max_per_img'], most_proposals)
        #: Proposals that people are sought in.
        self.proposals = rule.get('max_per_img')
        pipeline = _test_pipeline(cfg)
        #: Path of the config.
        self.config = config
        #: In the zoo, or of the config.
        self.name = self.entry.name if self.entry else config_name(config)
        #: Steps from a picture to what the network takes, as configs.
        self.pipeline = pipeline
        with DefaultScope.overwrite_default_scope('mmdet'):
            self.model = MODELS.build(cfg.model)
            load, *rest = (TRANSFORMS.build(step) for step in pipeline)
        if not isinstance(load, LoadImageFromFile):
            raise ValueError(
                f'{config}: a test pipeline starts with LoadScene, this one '
                f'with {type(load).__name__}'
            )
        roi_head = getattr(self.model, 'roi_head', None)
        if getattr(roi_head, 'oim_head', None) is None:
            raise ValueError(
                f'{config} is a detector: without roi_head.oim_head there are '
                'no embeddings to search with'
            )
        fill_weights(self.model, read_weights(weights), weights)
        self.model.to(_device(device)).eval()
        self._load, self._rest = load, Compose(rest)
        #: Name of all that embeddings and similarities depend on.
        self.fingerprint = fingerprint(
            self.model.state_dict(),
            dict(network=cfg.model, pipeline=pipeline),
        )
        #: The threshold of the config's test.
        self.det_thr = (cfg.get('test_evaluator') or {}).get(
            'det_thr', DET_THR
        )

    @property
    def match_threshold(self) -> float | None:
        """Similarity of a match, as measured for the entry of the zoo."""
        return None if self.entry is None else self.entry.match_threshold

    @property
    def note(self) -> str | None:
        """What to say beside results of these weights."""
        return about_training(self.entry)

    @property
    def query_guided(self) -> bool:
        """Whether the network looks at query and gallery image together."""
        return hasattr(self.model, 'pair_searcher')

    def read(self, scene: Scene) -> np.ndarray:
        """Pixels (H, W, 3) uint8 of a scene, as the pipeline reads them."""
        return self._loaded(scene)['img'].astype(np.uint8, copy=False)

    def prepare(self, scene: Scene, box: Sequence | None = None) -> dict:
        """What the test pipeline makes of a picture.

        Args:
            scene: Picture.
            box: x1, y1, x2, y2 of a person to embed, in original pixels; the
                part inside the image is taken.

        Returns:
            ``inputs`` and ``data_samples``; with a box, the sample has
            ``query_instances``.

        Raises:
            DatasetError: The file is no image, or one of a size that cannot
                be looked at (``mmps.datasets.pictures``).
            ValueError: The box has no area inside the image.
        """
        results = dict(self._loaded(scene), instances=[])
        if box is not None:
            height, width = results['ori_shape']
            box = inside(box, height, width, results['img_path'])
            results.update(query_bboxes=[box], query_ids=[0])
        with DefaultScope.overwrite_default_scope('mmdet'):
            return self._rest(results)

    @torch.no_grad()
    def embed(self, item: dict) -> np.ndarray:
        """Embedding (D,) float32 of the box of a prepared picture."""
        (sample,) = self.model.embed_people(_batch([item]))
        return sample.query_instances.embeddings[0].float().cpu().numpy()

    @torch.no_grad()
    def detect(self, items: Sequence[dict]) -> list[People]:
        """People of pictures of equal input size."""
        found = [
            sample.pred_instances
            for sample in self.model.test_step(_batch(items))
        ]
        return [
            People(*map(_floats, (p.bboxes, p.scores, p.embeddings)))
            for p in found
        ]

    def _loaded(self, scene: Scene) -> dict:
        pixels, path = scene.pixels, scene.source.image
        if pixels is None:
            check_file(path)
            item = dict(img_path=path, img_id=0, img_name=path)
            try:
                return self._load(item)
            except DatasetError as error:  # its hint is about data sets
                raise DatasetError(error.file, error.problem) from error
        name = path or 'the picture given as pixels'
        check_size(*pixels.shape[1::-1], name)
        if self._load.to_float32:
            pixels = pixels.astype(np.float32)
        return dict(
            img_path=name,
            img_id=0,
            img_name=name,
            img=pixels,
            img_shape=pixels.shape[:2],
            ori_shape=pixels.shape[:2],
        )


def _entry(model: str, weights: str | None) -> Entry | None:
    """The entry of the zoo that the weights are of."""
    source = model if weights is None else weights
    return load_index().find(str(source)) if is_address(source) else None


def _resolve(model: str, weights: str | None) -> tuple[str, str]:
    """Paths of the config and of the weights."""
    if is_address(model):
        config, released = resolve(str(model))
        return str(config), str(weights or released)
    config = find_config(model)
    if weights is None:
        raise ValueError(
            f'{model} is a config and needs weights: give the path of a '
            'checkpoint, or zoo://NAME for both'
        )
    return str(config), str(weights)


def _test_pipeline(cfg: Config) -> list[dict]:
    try:
        return cfg.test_dataloader.dataset.pipeline
    except AttributeError as error:
        raise ValueError(
            f'{cfg.filename}: has no test_dataloader.dataset.pipeline, which '
            'says how pictures are read and scaled'
        ) from error


def _device(name: str | None) -> torch.device:
    if name is None:
        return torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (AssertionError, RuntimeError) as error:
        raise ValueError(
            f"device {name!r} cannot be used ({error}); give 'cpu', or a GPU "
            'that torch can see'
        ) from error
    return device


def _floats(values: torch.Tensor) -> np.ndarray:
    return values.float().cpu().numpy()


def _batch(items: Sequence[dict]) -> dict:
    return {
        key: [item[key] for item in items]
        for key in ('inputs', 'data_samples')
    }

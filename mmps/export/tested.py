"""An exported network in the place of a model, to be tested as one."""

import numpy as np
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample, SampleList
from mmengine.model import BaseModel
from mmengine.structures import InstanceData
from torch import Tensor

from mmps.errors import InputError
from mmps.inference.onnx_network import OnnxNetwork, scaled_size


@MODELS.register_module()
class ExportedNetwork(BaseModel):
    """What a test of mmps needs of a model, from onnxruntime.

    Pictures come from the pipeline of the config, which has to scale them as
    the network wants it.

    Args:
        path: As of ``OnnxNetwork``; a network in the 'split' layout.

    Raises:
        InputError: It is no such network.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        self.network = OnnxNetwork(path, 'cpu')
        if self.network.metadata.layout != 'split':
            raise InputError(
                path,
                'is a single graph, which does not embed the boxes of queries '
                'that a test gives it',
                'Export the network with --layout split',
            )

    def forward(
        self,
        inputs: list[Tensor],
        data_samples: SampleList,
        mode: str = 'predict',
    ) -> SampleList:
        """Detect and embed; samples get what ``PersonSearchRCNN`` gives.

        Args:
            inputs: (3, H, W) each, as the pipeline packs them.
            data_samples: Of each picture.
            mode: 'predict' alone.
        """
        if mode != 'predict':
            raise ValueError(f'an exported network cannot {mode}')
        return [
            self._looked_at(image, sample)
            for image, sample in zip(inputs, data_samples, strict=True)
        ]

    def _looked_at(
        self, image: Tensor, sample: DetDataSample
    ) -> DetDataSample:
        meta = sample.metainfo
        wanted = scaled_size(*meta['ori_shape'], self.network.metadata.resize)
        if tuple(image.shape[1:]) != wanted:
            raise InputError(
                meta['img_path'],
                f'was scaled to {tuple(image.shape[1:])} by the config, and '
                f'the exported network wants {wanted}',
                'Test it with the config that it was exported with',
            )
        given = [
            sample.get(field)
            for field in ('gt_instances', 'query_instances')
            if field in sample and 'bboxes' in sample.get(field)
        ]
        boxes = [one.bboxes.float().cpu().numpy() for one in given]
        item = dict(
            inputs=image.float().cpu().numpy(),
            factor=np.array(meta['scale_factor'] * 2),
        )
        people, embeddings = self.network.detect_and_embed(
            item, np.concatenate([np.zeros((0, 4), np.float32), *boxes])
        )
        sample.pred_instances = InstanceData(
            **{
                name: torch.from_numpy(part)
                for name, part in people._asdict().items()
            },
            labels=torch.zeros(len(people.scores), dtype=torch.long),
        )
        parts = torch.from_numpy(embeddings).split([len(b) for b in boxes])
        for instances, part in zip(given, parts, strict=True):
            instances.embeddings = part
        return sample

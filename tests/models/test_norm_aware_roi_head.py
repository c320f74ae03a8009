import torch
from mmengine.structures import InstanceData

from tests.models.build import batch, build, model_config, scene

BOXES = [[10, 10, 40, 85], [60, 5, 95, 90]]


def test_the_losses_are_those_of_one_embedding():
    model = build(model_config('nae/nae_r18_synth')).train()
    inputs, samples = batch(
        model, scene(BOXES, [3, -1]), scene(BOXES[:1], [5]), training=True
    )
    head, feats = model.roi_head, model.extract_feat(inputs)
    proposals = [InstanceData(bboxes=torch.tensor(BOXES) + 3.0)] * 2
    calls = []
    head.oim_head.rescale.register_forward_hook(lambda *_: calls.append(None))
    losses, boxes = head.loss_and_sampled(feats, proposals, samples)
    assert len(calls) == 1  # BatchNorm counts the batch once
    torch.testing.assert_close(
        boxes.embeddings.norm(dim=1), torch.ones(len(boxes.where))
    )
    # the binary cross entropy of the length, by hand
    z = boxes.logits[:, 0]
    assert not boxes.logits[:, 1].any()
    one = torch.where(boxes.positive, -z, z).exp().log1p()
    torch.testing.assert_close(losses['loss_cls'], one.mean())
    assert losses.keys() == {'loss_cls', 'loss_bbox', 'loss_oim', 'acc'}
    sum(losses[key] for key in losses if 'loss' in key).backward()
    assert all(p.grad.any() for p in head.oim_head.parameters())
    assert all(p.grad.any() for p in head.bbox_head.parameters())


def test_what_overlaps_a_little_is_neither():
    cfg = model_config('nae/nae_r18_synth')
    assigner = build(cfg).roi_head.bbox_assigner
    gt = InstanceData(
        bboxes=torch.tensor([[0.0, 0, 40, 80]]), labels=torch.tensor([0])
    )
    boxes = torch.tensor(
        [[0.0, 0, 40, 70], [20, 0, 60, 80], [38, 0, 78, 80], [90, 0, 99, 9]]
    )
    found = assigner.assign(InstanceData(priors=boxes), gt, None)
    assert found.gt_inds.tolist() == [1, -1, 0, 0]

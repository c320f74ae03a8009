from types import SimpleNamespace

import pytest
import torch
from mmengine.structures import InstanceData

from mmps.structures import BACKGROUND, UNLABELED
from tests.models.build import batch, build, model_config, scene


def feature(model, *scenes):
    inputs, samples = batch(model, *scenes, training=False)
    return model.extract_feat(inputs), samples


def test_identities_follow_the_assigned_person():
    # three people; RoIs lie on the third, the first and on no one
    model = build()
    boxes = [[0, 0, 20, 40], [40, 0, 60, 40], [80, 0, 100, 40]]
    feats, samples = feature(model, scene(boxes, [7, UNLABELED, 2]))
    proposals = InstanceData(
        bboxes=torch.tensor(
            [[81.0, 0, 100, 40], [0, 1, 20, 40], [0, 60, 20, 96]]
        )
    )
    torch.manual_seed(0)
    sampled = model.roi_head.sample(feats, [proposals], samples)
    ids = model.roi_head.identities(sampled, samples)
    of_box = {
        tuple(box): identity
        for box, identity in zip(
            sampled[0].priors.tolist(), ids.tolist(), strict=True
        )
    }
    assert of_box == {
        (81, 0, 100, 40): 2,
        (0, 1, 20, 40): 7,
        (0, 60, 20, 96): BACKGROUND,
        # ground truth is added to the proposals
        (0, 0, 20, 40): 7,
        (40, 0, 60, 40): UNLABELED,
        (80, 0, 100, 40): 2,
    }


def test_overlaps_are_worked_out_for_those_who_need_them():
    people = [[0.0, 0, 20, 40], [40, 0, 60, 40]]
    boxes = [[0.0, 0, 20, 30], [42, 0, 60, 40], [80, 50, 100, 90]]
    model = build(model_config('oimnetpp/oimnetpp_r18_synth'))
    feats, samples = feature(model, scene(people, [7, 2]))
    proposals = [InstanceData(bboxes=torch.tensor(boxes))]
    sampled = model.roi_head.sample(feats, proposals, samples)
    overlaps = model.roi_head.overlaps(sampled)
    of_box = dict(
        zip(
            map(tuple, sampled[0].priors.tolist()),
            overlaps.tolist(),
            strict=True,
        )
    )
    assert of_box == {
        (0, 0, 20, 30): pytest.approx(0.75),
        (42, 0, 60, 40): pytest.approx(0.9),
        (80, 50, 100, 90): 0,
        **dict.fromkeys(map(tuple, people), 1),
    }
    assert build().roi_head.overlaps(sampled) is None


def test_sampling_leaves_the_proposals_as_they_were():
    model = build()
    feats, samples = feature(model, scene([[0, 0, 20, 40]]))
    proposals = InstanceData(bboxes=torch.rand(5, 4))
    model.roi_head.sample(feats, [proposals], samples)
    assert list(proposals.keys()) == ['bboxes']


@pytest.fixture
def head():
    """A head whose box branch returns the boxes as they are."""
    model = build()
    model.roi_head.test_cfg.update(score_thr=0.3, max_per_img=2)
    return model.roi_head


def detect(head, boxes, scores, img_shape=(100, 100)):
    boxes, scores = torch.tensor(boxes), torch.tensor(scores)
    logits = torch.stack([scores.log(), (1 - scores).log()], dim=1)
    deltas = torch.zeros(len(boxes), 4)
    return head.detect(boxes, logits, deltas, img_shape)


def test_detections_are_cut_suppressed_and_ordered(head):
    boxes = [
        [0.0, 0, 10, 30],  # 0.5
        [50.0, 0, 60, 30],  # below the threshold
        [1.0, 0, 11, 30],  # 0.9: suppresses the first
        [50.0, 50, 60, 80],  # 0.7
        [80.0, 50, 90, 80],  # 0.6: third of two
    ]
    found, kept = detect(head, boxes, [0.5, 0.2, 0.9, 0.7, 0.6])
    assert kept.tolist() == [2, 3]
    torch.testing.assert_close(found.scores, torch.tensor([0.9, 0.7]))
    torch.testing.assert_close(found.bboxes, torch.tensor(boxes)[[2, 3]])
    assert found.labels.tolist() == [0, 0]


def test_detections_are_clipped_at_the_image(head):
    found, _ = detect(head, [[-5.0, -5, 10, 130]], [0.9], (100, 60))
    assert found.bboxes.tolist() == [[0, 0, 10, 100]]


def test_no_detection_is_no_error(head):
    found, kept = detect(head, [[0.0, 0, 10, 30]], [0.1])
    assert len(found) == len(kept) == 0


def test_embedding_is_taken_on_the_proposal():
    model = build().eval()
    model.roi_head.test_cfg.score_thr = 0.0
    feats, samples = feature(model, scene([]))
    boxes = torch.tensor([[5.0, 5, 40, 90], [70.0, 10, 100, 80]])
    proposals = [InstanceData(bboxes=boxes)]
    (found,) = model.roi_head.predict(feats, proposals, samples)
    rois = torch.cat([torch.zeros(2, 1), boxes], dim=1)
    pooled = model.roi_head.pool(feats, rois)
    expected = model.roi_head.oim_head(pooled)
    score = model.roi_head.bbox_head(pooled)[0].softmax(1)[:, 0]
    order = score.argsort(descending=True)
    assert not torch.allclose(found.bboxes, boxes[order], atol=0.1)
    torch.testing.assert_close(found.embeddings, expected[order])


def test_refined_pools_the_regressed_boxes_of_the_right_image():
    model = build().eval()
    model.roi_head.test_cfg.update(score_thr=0.0, reid_on='refined')
    feats, samples = feature(model, scene([], seed=0), scene([], seed=1))
    boxes = torch.tensor([[5.0, 5, 40, 90], [70.0, 10, 100, 80]])
    proposals = [InstanceData(bboxes=boxes)] * 2
    found = model.roi_head.predict(feats, proposals, samples)
    for i, result in enumerate(found):
        rois = torch.cat([torch.full((2, 1), i), result.bboxes], dim=1)
        expected = model.roi_head.oim_head(model.roi_head.pool(feats, rois))
        torch.testing.assert_close(result.embeddings, expected)


def test_given_boxes_are_embedded_from_original_pixels():
    model = build().eval()
    people = [[5, 5, 20, 45], [30, 5, 50, 40]]
    feats, samples = feature(
        model, scene(people, scale=2.0), scene([], scale=2.0, seed=1)
    )
    samples[1].query_instances = InstanceData(
        bboxes=torch.tensor([[10.0, 5, 25, 40]]),
        query_ids=torch.tensor([4]),
    )
    model.roi_head.embed_given(feats, samples)
    rois = torch.tensor(
        [[0.0, 10, 10, 40, 90], [0, 60, 10, 100, 80], [1, 20, 10, 50, 80]]
    )
    expected = model.roi_head.oim_head(model.roi_head.pool(feats, rois))
    got = [
        samples[0].gt_instances.embeddings,
        samples[1].query_instances.embeddings,
    ]
    torch.testing.assert_close(torch.cat(got), expected)
    assert samples[1].gt_instances.embeddings.shape == (0, 256)


def test_without_given_boxes_nothing_happens():
    model = build().eval()
    feats, samples = feature(model, scene([]))
    del samples[0].gt_instances
    model.roi_head.embed_given(feats, samples)
    assert 'gt_instances' not in samples[0]


def test_wrong_reid_on_is_named():
    cfg = model_config()
    cfg.test_cfg.rcnn.reid_on = 'box'
    with pytest.raises(ValueError, match="'refined', got 'box'"):
        build(cfg)


def test_background_only_batches_have_a_row_per_roi():
    result = SimpleNamespace(
        pos_assigned_gt_inds=torch.zeros(0, dtype=torch.long),
        neg_priors=torch.zeros(3, 4),
    )
    _, sample = scene([], [])
    ids = build().roi_head.identities([result], [sample])
    assert ids.tolist() == [BACKGROUND] * 3

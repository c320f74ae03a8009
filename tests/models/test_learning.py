"""A real short run: does the network learn what it is for?"""

import pytest
import torch

from tests.models.build import batch, build, model_config, scene

COLOURS = torch.tensor(
    [[230, 40, 40], [40, 200, 60], [50, 70, 230], [230, 210, 40]]
)
#: Where the four people stand; who stands where differs from scene to scene.
PLACES = [
    [8, 16, 28, 72],
    [40, 10, 62, 80],
    [72, 20, 92, 76],
    [102, 8, 122, 70],
]
#: Over seeds and processors, 60 find 11 to 16 of the 16 people and 100 all.
STEPS = 120


def street(number):
    """Grey noise with one person of each colour."""
    order = [(person + number) % 4 for person in range(4)]
    image, sample = scene(PLACES, order, seed=number)
    image = 100 + image // 8
    for (x1, y1, x2, y2), person in zip(PLACES, order, strict=True):
        image[:, y1:y2, x1:x2] = COLOURS[person][:, None, None]
    return image, sample


def slim(cfg):
    """A quarter as wide, for four people; light students as they are."""
    head = cfg.roi_head
    head.oim_head.loss_oim.update(num_ids=4, queue_size=0)
    if head.shared_head.type == 'TwoFCHead':
        return cfg
    for part in (cfg.backbone, head.shared_head):
        part.base_channels = 16
    cfg.rpn_head.update(in_channels=64, feat_channels=64)
    head.bbox_head.in_channels = 128
    both = head.oim_head.type == 'NormAwareHead'
    head.oim_head.in_channels = (64, 128) if both else 128
    return cfg


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize(
    'name',
    [
        'oim/oim_r18_tiny',
        'oimnetpp/oimnetpp_r18_synth',
        'nae/nae_r18_synth',
        'seqnet/seqnet_r18_synth',
        'light/light_r18_synth',
        'light/light_mnv2_synth',
    ],
)
def test_people_are_detected_and_told_apart(name):
    cfg = slim(model_config(name))
    model = build(cfg)
    torch.manual_seed(0)
    model.init_weights()
    model.roi_head.oim_head.loss_oim.table.zero_()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.03, momentum=0.9)
    model.train()
    for step in range(STEPS):
        for group in optimizer.param_groups:
            left = (STEPS - step) / 40
            group['lr'] = 0.03 * min(1, (step + 1) / 10, left)
        scenes = [street(number) for number in range(4)]
        losses = model.loss(*batch(model, *scenes, training=True))
        total = sum(
            value if torch.is_tensor(value) else sum(value)
            for key, value in losses.items()
            if 'loss' in key
        )
        optimizer.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10)  # as trained
        optimizer.step()
    # ln 4 is what a network knows that takes everybody for the same
    assert losses['loss_oim'] < 0.5 * torch.tensor(4.0).log()

    model.eval()
    scenes = [street(number) for number in range(4)]
    with torch.no_grad():
        samples = model.predict(*batch(model, *scenes, training=False))
    found, embeddings, ids = 0, [], []
    for sample in samples:
        boxes = sample.pred_instances.bboxes[
            sample.pred_instances.scores > 0.5
        ]
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        for x1, y1, x2, y2 in PLACES:
            middle = torch.tensor([(x1 + x2) / 2, (y1 + y2) / 2])
            found += bool(((centres - middle).abs().amax(dim=1) < 8).any())
        embeddings.append(sample.gt_instances.embeddings)
        ids.append(sample.gt_instances.instances_ids)
    assert found >= 14  # of 16
    embeddings, ids = torch.cat(embeddings), torch.cat(ids)
    similarity = (embeddings @ embeddings.t()).fill_diagonal_(-2)
    assert torch.equal(ids[similarity.argmax(dim=1)], ids)

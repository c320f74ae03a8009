"""What the QRPN needs to tell people apart: training on frozen maps.

    python benchmarks/qrpn.py configs/qeeps/qeeps_r18_synth.py \\
        work_dirs/oim_r18_synth/epoch_8.pth

The C4 maps of all images are computed once with a trained OIM network; then
the query branch alone is trained on pairs, in several ways, which takes
seconds where a whole training takes minutes. Shown is how often the query's
person outscores another person of a test image: 0.5 is chance.
"""

import argparse
import copy
import time

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

import mmps  # noqa: F401  before mmdet: it may have to supply mmcv._ext

# isort: split
from mmdet.registry import DATASETS, MODELS
from mmdet.structures.bbox import bbox2roi, scale_boxes
from mmengine.registry import DefaultScope

from mmps.apis import load_config, load_pair_loop
from mmps.experiments.guidance import evenly, mean_or_none

#: Way -> gate ('neutral' is the centred one with a start of 1), start of the
#: convolutions (None: that of the RPN), anchors, other people first, factor on
#: the learning rate.
WAYS = {
    'paper: 256 random anchors, literal gate': ('paper', None, 256, False, 1),
    '16 anchors, others first': ('paper', None, 16, True, 1),
    'and Kaiming start': ('paper', 'kaiming', 16, True, 1),
    'neutral gate, Kaiming start': ('neutral', 'kaiming', 16, True, 1),
    'neutral gate, twice the rate': ('neutral', 'kaiming', 16, True, 2),
    'centred gate, Kaiming start': ('centred', 'kaiming', 16, True, 1),
    'centred gate, twice the rate': ('centred', 'kaiming', 16, True, 2),
    'centred gate, half the rate': ('centred', 'kaiming', 16, True, 0.5),
    'centred gate, 32 anchors': ('centred', 'kaiming', 32, True, 1),
    'centred gate, 256 random anchors': ('centred', 'kaiming', 256, False, 1),
}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('config', help='config of a query-guided network')
    parser.add_argument('checkpoint', help='of the OIM network it starts from')
    parser.add_argument('--steps', type=int, default=800)
    parser.add_argument('--pairs', type=int, default=4, help='of a step')
    parser.add_argument('--rate', type=float, default=0.1)
    parser.add_argument('--seeds', nargs='+', type=int, default=[0])
    parser.add_argument('--protocol', default='G50')
    parser.add_argument('--queries', type=int, default=60)
    return parser.parse_args()


class Maps:
    """C4 maps of data sets, and RoI features of people on them."""

    def __init__(self, config: str, checkpoint: str) -> None:
        cfg = load_config(config)
        cfg.model.backbone.gated = False
        cfg.model.rpn_head.query_guided = False
        cfg.model.roi_head.sim_head = None
        self.head_cfg = dict(
            copy.deepcopy(cfg.model.rpn_head),
            query_guided=True,
            train_cfg=cfg.model.train_cfg.rpn,
            test_cfg=cfg.model.test_cfg.rpn,
        )
        data = copy.deepcopy(cfg.train_dataloader.dataset.dataset)
        data.pipeline = [p for p in data.pipeline if p.type != 'RandomFlip']
        loop = load_pair_loop(cfg, checkpoint)
        self.model = loop.model
        self.test = loop.dataset
        with DefaultScope.overwrite_default_scope('mmdet'):
            self.train = DATASETS.build(data)

    @torch.no_grad()
    def of(self, dataset) -> list[tuple]:
        """Map (1, C, H, W) and sample of every image."""
        found = []
        for number in tqdm(range(len(dataset)), unit=' maps', disable=None):
            item = dataset[number]
            data = self.model.data_preprocessor(
                {key: [value] for key, value in item.items()}, False
            )
            (sample,) = data['data_samples']
            feats = self.model.feats_of(data['inputs'], [sample])[0]
            found.append((feats, sample))
        return found

    @torch.no_grad()
    def person(self, feats, box) -> torch.Tensor:
        """(1, C) average of the RoI feature of a box (4,) in input pixels."""
        extract = self.model.roi_head.bbox_roi_extractor
        rois = bbox2roi([box.view(1, 4).float()])
        return extract((feats,), rois).mean(dim=(2, 3))


def training_pairs(maps: Maps) -> tuple[list, dict]:
    """Maps of the training images; identity -> (image, query vector)."""
    images, shown = maps.of(maps.train), {}
    for number, (feats, sample) in enumerate(images):
        people = sample.gt_instances
        for box, row in zip(people.bboxes, people.instances_ids, strict=True):
            if row >= 0:
                entry = (number, maps.person(feats, box))
                shown.setdefault(int(row), []).append(entry)
    return images, {
        row: entries
        for row, entries in shown.items()
        if len({number for number, _ in entries}) > 1
    }


def test_cases(maps: Maps, protocol: str, num: int) -> list[tuple]:
    """Query vector, map and sample where the person is not alone."""
    images, meta = maps.of(maps.test), maps.test.metainfo
    names = meta['test_identity_names']
    asked, cases = meta['protocols'][protocol], []
    for position in evenly(len(asked.queries), num):
        number = int(asked.queries[position])
        record = meta['queries'][number]
        feats, sample = images[record.image]
        given = sample.query_instances
        box = given.bboxes[given.query_ids == number][:1].float()
        query = maps.person(feats, scale_boxes(box, sample.scale_factor)[0])
        for image in np.unique(asked.galleries[position].positives):
            feats, sample = images[image]
            sample = sample.clone()
            people = sample.gt_instances
            people.bboxes = scale_boxes(
                people.bboxes.float(), sample.scale_factor
            )
            identity = names.index(record.identity)
            sample.set_metainfo(dict(pair_identity=identity))
            cases.append((query, feats, sample))
    return cases


def make_head(maps: Maps, way: tuple) -> nn.Module:
    """A query branch that starts as a way says."""
    gate, start, anchors, others_first, _ = way
    head = MODELS.build(
        dict(
            maps.head_cfg,
            gate='paper' if gate == 'paper' else 'centred',
            num_samples=anchors,
            other_people_first=others_first,
        )
    )
    head.init_weights()
    if gate == 'neutral':
        nn.init.zeros_(head.gate.fc2.weight)
        nn.init.zeros_(head.gate.fc2.bias)
    if start is None:
        for conv in (head.qrpn_conv, head.qrpn_cls):
            nn.init.normal_(conv.weight, std=0.01)
    return head


def order_of(head: nn.Module, cases: list[tuple]) -> float:
    """Share of the others whom the query's person outscores."""
    head.eval()
    orders = []
    with torch.no_grad():
        for query, feats, sample in cases:
            logits = head.query_scores(feats, query)
            orders.append(head.query_order(logits, feats.shape[-2:], [sample]))
    return mean_or_none(orders)


def train(head, images, shown, args, rate, seed) -> float:
    """Train the query branch; the mean loss of the last 100 steps."""
    draw = np.random.default_rng(seed)
    weights = [
        p
        for name, p in head.named_parameters()
        if name.startswith(('gate.', 'qrpn_'))
    ]
    optimizer = torch.optim.SGD(weights, lr=rate, momentum=0.9)
    head.train()
    rows, losses = list(shown), []
    for step in range(args.steps):
        part = (step + 1) / args.steps
        warm = min(1, 16 * part)
        for group in optimizer.param_groups:
            group['lr'] = rate * warm * (1 + np.cos(np.pi * part)) / 2
        queries, feats, samples, targets = [], [], [], []
        for _ in range(args.pairs):
            row = rows[draw.integers(len(rows))]
            first, second = draw.permutation(len(shown[row]))[:2]
            queries.append(shown[row][first][1])
            image, sample = images[shown[row][second][0]]
            feats.append(image)
            samples.append(sample)
            people = sample.gt_instances
            targets.append(people.bboxes[people.instances_ids == row].float())
        feats = torch.cat(feats)
        logits = head.query_scores(feats, torch.cat(queries))
        loss = head.query_loss(logits, targets, feats.shape[-2:], samples)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(weights, 10)
        optimizer.step()
        losses.append(float(loss.detach()))
    return float(np.mean(losses[-100:]))


def main() -> None:
    args = parse_args()
    maps = Maps(args.config, args.checkpoint)
    images, shown = training_pairs(maps)
    cases = test_cases(maps, args.protocol, args.queries)
    print(f'{len(cases)} test cases, {args.steps} steps of {args.pairs} pairs')
    print('| QRPN | ' + ' | '.join(f'seed {s}' for s in args.seeds) + ' |')
    print('| --- ' * (1 + len(args.seeds)) + '|')
    begin = time.time()
    for name, way in WAYS.items():
        cells = []
        for seed in args.seeds:
            torch.manual_seed(seed)
            head = make_head(maps, way)
            train(head, images, shown, args, args.rate * way[-1], seed)
            cells.append(f'{100 * order_of(head, cases):.1f}')
        print(f'| {name} | ' + ' | '.join(cells) + ' |', flush=True)
    print(f'{time.time() - begin:.0f} s')


if __name__ == '__main__':
    main()

"""Pairs a second of a query-guided test, against the obvious loop.

The obvious loop runs both images of every pair through the whole network, one
pair at a time. The test loop computes once what does not depend on the other
image. Both run on the same queries and galleries; the obvious one on a sample
of the pairs, whose results are compared.

    python benchmarks/pairs.py configs/qeeps/qeeps_r18_synth.py CHECKPOINT
    python benchmarks/pairs.py CONFIG CHECKPOINT --no-gates --device cuda
"""

import argparse
import json
import os
import statistics
import time
from pathlib import Path

#: Pairs of PRW-mini, Munjal et al., CVPR 2019.
PRW_MINI = 183_330


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('config')
    parser.add_argument('checkpoint')
    parser.add_argument('--protocol', default='G100')
    parser.add_argument('--queries', type=int, default=20)
    parser.add_argument('--batch-size', type=int, default=16)
    parser.add_argument('--cache-mb', type=float, default=1024)
    parser.add_argument('--device', choices=('cpu', 'cuda'), default='cpu')
    parser.add_argument('--threads', type=int, help='of torch on the CPU')
    parser.add_argument(
        '--no-gates', action='store_true', help='without QSSE: all is shared'
    )
    parser.add_argument(
        '--sample', type=int, default=30, help='pairs of the obvious loop'
    )
    parser.add_argument('--out', type=Path, help='write a JSON file')
    return parser.parse_args()


class Bench:
    """A network and a test set, without a Runner."""

    def __init__(self, args: argparse.Namespace) -> None:
        import torch
        from mmdet.registry import DATASETS, MODELS
        from mmengine.registry import init_default_scope
        from mmengine.runner import CheckpointLoader

        from mmps.apis import load_config

        init_default_scope('mmdet')
        if args.threads:
            torch.set_num_threads(args.threads)
        cfg = load_config(args.config)
        if args.no_gates:
            cfg.model.backbone.gated = False
        self.args = args
        self.dataset = DATASETS.build(cfg.test_dataloader.dataset)
        self.model = MODELS.build(cfg.model).to(args.device).eval()
        checkpoint = CheckpointLoader.load_checkpoint(args.checkpoint, 'cpu')
        state = checkpoint.get('state_dict', checkpoint)
        found = self.model.load_state_dict(state, strict=False)
        unused = [k for k in found.unexpected_keys if 'gate' not in k]
        if found.missing_keys or unused:
            raise SystemExit(
                f'{args.checkpoint} does not fit: missing '
                f'{found.missing_keys[:5]}, unexpected {unused[:5]}'
            )

    def load(self, image: int):
        """Input and metainfo of an image."""
        item = self.dataset[image]
        data = self.model.data_preprocessor(
            dict(inputs=[item['inputs']], data_samples=[item['data_samples']]),
            False,
        )
        return data['inputs'], data['data_samples'][0].metainfo

    def query(self, searcher, number: int):
        """State of a query."""
        import torch

        record = self.dataset.metainfo['queries'][number]
        inputs, meta = self.load(record.image)
        box = torch.tensor(record.bbox, dtype=torch.float32)
        return searcher.query(
            inputs, meta, box * box.new_tensor(meta['scale_factor']).repeat(2)
        )

    def clock(self) -> float:
        """Seconds; waits for the GPU."""
        if self.args.device == 'cuda':
            import torch

            torch.cuda.synchronize()
        return time.perf_counter()


def run_loop(bench: Bench, galleries: dict) -> tuple[dict, float, int]:
    """As the test loop does: results, seconds, RoIs through conv5."""
    from mmps.evaluation.pair_test_loop import run_pairs

    searcher = bench.model.pair_searcher(0.5, bench.args.cache_mb)
    start = bench.clock()
    found = run_pairs(
        searcher,
        {number: bench.query(searcher, number) for number in galleries},
        galleries,
        lambda image: searcher.gallery(*bench.load(image)),
        bench.args.batch_size,
    )
    seconds = bench.clock() - start
    results = {
        (query, image): result
        for query, images in found.items()
        for image, result in images.items()
    }
    return results, seconds, searcher.num_rois


def run_obvious(bench: Bench, pairs: list) -> tuple[dict, float]:
    """Both images from scratch for every pair: results, seconds a pair."""
    searcher = bench.model.pair_searcher(0.5, 0)
    results, seconds = {}, []
    for query, image in pairs:
        start = bench.clock()
        state = bench.query(searcher, query)
        gallery = searcher.gallery(*bench.load(image))
        (results[query, image],) = searcher.search([(state, gallery)])
        seconds.append(bench.clock() - start)
    return results, statistics.median(seconds)


def largest_difference(results: dict, others: dict) -> float:
    """Of similarities and boxes; infinite where counts differ."""
    apart = 0.0
    for pair, other in others.items():
        one = results[pair]
        if len(one.scores) != len(other.scores):
            return float('inf')
        for name in ('similarity', 'scores'):
            a, b = getattr(one, name), getattr(other, name)
            if len(a):
                apart = max(apart, float((a - b).abs().max()))
    return apart


def main() -> None:
    import random

    import torch

    args = parse_args()
    bench = Bench(args)
    protocol = bench.dataset.metainfo['protocols'][args.protocol]
    galleries = {
        int(query): sorted({int(i) for i in gallery.images})
        for query, gallery in zip(
            protocol.queries[: args.queries],
            protocol.galleries[: args.queries],
            strict=True,
        )
    }
    pairs = [(q, image) for q, images in galleries.items() for image in images]
    sample = random.Random(0).sample(pairs, min(args.sample, len(pairs)))
    run_obvious(bench, sample[:2])  # warm up
    others, slow = run_obvious(bench, sample)
    results, seconds, rois = run_loop(bench, galleries)
    fast = seconds / len(pairs)
    where = f'{os.cpu_count()} cores, {torch.get_num_threads()} threads'
    if args.device == 'cuda':
        where = torch.cuda.get_device_name()
    report = dict(
        pairs=len(pairs),
        loop_pairs_per_second=1 / fast,
        obvious_pairs_per_second=1 / slow,
        ratio=slow / fast,
        rois_per_pair=rois / len(pairs),
        largest_difference=largest_difference(results, others),
        prw_mini_hours=PRW_MINI * fast / 3600,
        machine=f'{where}, torch {torch.__version__}',
    )
    for name, value in report.items():
        print(f'{name:26} {value}')
    if args.out:
        args.out.write_text(json.dumps(report, indent=2) + '\n')


if __name__ == '__main__':
    main()

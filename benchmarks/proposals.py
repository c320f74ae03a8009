"""Accuracy and time of a network by the number of proposals it looks at.

    python benchmarks/proposals.py oim_r18_qeeps50_synth
    python benchmarks/proposals.py det_r50_crowded_3x --budgets 300 100 50 25
    python benchmarks/proposals.py my_config.py my_weights.pth --protocol G50

Tests a network with `model.test_cfg.rpn.max_per_img` at each budget, on the
whole test set of its config. The budgets take turns on every picture, on one
core: times are medians of the processor time of one picture, from its pixels
to boxes and embeddings (reading and resizing it, and embedding the annotated
boxes of the protocol, are not counted), and ratios are medians of the ratios
to the first budget on the same picture. The first picture is not timed. An
image may have fewer proposals than its budget: their mean number is shown.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

BUDGETS = (300, 100, 50, 25, 15)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('config', help='path, or the name of one of mmps')
    parser.add_argument(
        'checkpoint', nargs='?', help='file or URL [zoo://CONFIG]'
    )
    parser.add_argument(
        '--budgets',
        type=int,
        nargs='+',
        default=BUDGETS,
        metavar='N',
        help=f'numbers of proposals [{" ".join(map(str, BUDGETS))}]',
    )
    parser.add_argument(
        '--protocol', default='G100', help='of the search [%(default)s]'
    )
    parser.add_argument('--out', type=Path, help='write a JSON file')
    parser.add_argument('--cfg-options', nargs='+', default=[])
    return parser.parse_args(argv)


class Budget:
    """A network that looks at so many proposals, its figures and times."""

    def __init__(self, cfg, budget: int, weights: dict, source: str) -> None:
        import copy

        from mmdet.registry import MODELS
        from mmengine.evaluator import Evaluator

        from mmps.checkpoints import fill_weights
        from mmps.plain_model import plain_model

        model = plain_model(cfg.model)
        model.test_cfg.rpn.max_per_img = budget
        self.budget = budget
        self.network = MODELS.build(model).eval()
        fill_weights(self.network, weights, source)
        self.network.roi_head.shared_head.register_forward_hook(self._count)
        self.evaluator = Evaluator(copy.deepcopy(cfg.test_evaluator))
        self.times: list[float] = []
        self.proposals: list[int] = []
        self.pooled: list[int] = []

    def _count(self, module, inputs: tuple, output) -> None:
        self.pooled.append(len(inputs[0]))

    def find(self, inputs, metainfo: dict):
        """Boxes, scores and embeddings of one picture; notes its time."""
        from mmdet.structures import DetDataSample

        self.pooled.clear()
        start = time.process_time()
        (found,) = self.network.predict(
            inputs, [DetDataSample(metainfo=metainfo)]
        )
        self.times.append(time.process_time() - start)
        self.proposals.append(self.pooled[0])  # others are refined boxes
        return found.pred_instances

    def row(self, first: 'Budget', figures: dict, protocol: str) -> dict:
        """One line of the table; seconds are compared with the first's."""
        ratios = zip(self.times[1:], first.times[1:], strict=True)
        return dict(
            budget=self.budget,
            proposals=statistics.mean(self.proposals),
            milliseconds=1000 * statistics.median(self.times[1:]),
            ratio=statistics.median(ours / base for ours, base in ratios),
            figures={
                key: figures[key]
                for key in (
                    *(f'{protocol}/mAP', f'{protocol}/top-1'),
                    *('det/AP', 'det/recall'),
                )
                if key in figures
            },
        )


def measure(args: argparse.Namespace) -> dict:
    """Run all budgets over the test set."""
    import torch
    from mmengine.dataset import pseudo_collate
    from mmengine.registry import init_default_scope
    from tqdm import tqdm

    from mmps.apis import build_dataset, load_config, parse_options
    from mmps.checkpoints import read_weights
    from mmps.configs import config_name

    init_default_scope('mmdet')
    torch.set_num_threads(1)
    options = parse_options(args.cfg_options)
    cfg = load_config(args.config, cfg_options=options)
    name = config_name(args.config)
    source = args.checkpoint or f'zoo://{name}'
    weights = read_weights(source)
    if cfg.test_evaluator.get('protocols') != []:  # not a detector alone
        cfg.test_evaluator.protocols = [args.protocol]
        cfg.test_dataloader.dataset.protocols = [args.protocol]
    dataset = build_dataset(cfg, 'test')
    budgets = [Budget(cfg, n, weights, source) for n in args.budgets]
    for one in budgets:
        one.evaluator.dataset_meta = dataset.metainfo
    first = budgets[0]
    for i in tqdm(range(len(dataset)), unit=' pictures', disable=None):
        batch = pseudo_collate([dataset[i]])
        with torch.no_grad():
            data = first.network.data_preprocessor(batch, False)
            inputs, (given,) = data['inputs'], data['data_samples']
            found = [one.find(inputs, given.metainfo) for one in budgets]
            first.network.roi_head.embed_given(
                first.network.feats_of(inputs, [given]), [given]
            )
        for one, instances in zip(budgets, found, strict=True):
            sample = given.clone()
            sample.pred_instances = instances
            one.evaluator.process(data_samples=[sample], data_batch=batch)
    rows = [
        one.row(first, one.evaluator.evaluate(len(dataset)), args.protocol)
        for one in budgets
    ]
    return dict(
        config=name,
        weights=Path(source).name if args.checkpoint else source,
        data=cfg.test_dataloader.dataset.data_root,
        pictures=len(dataset),
        protocol=args.protocol,
        torch=torch.__version__,
        rows=rows,
    )


def table(result: dict) -> str:
    """Markdown."""
    protocol = result['protocol']
    keys = {
        f'{protocol} mAP': f'{protocol}/mAP',
        'top-1': f'{protocol}/top-1',
        'detection AP': 'det/AP',
        'recall': 'det/recall',
    }
    keys = {k: v for k, v in keys.items() if v in result['rows'][0]['figures']}
    lines = [['budget', 'proposals', *keys, 'ms', 'of the first']]
    lines.append(['---'] * len(lines[0]))
    for row in result['rows']:
        lines.append(
            [
                str(row['budget']),
                f'{row["proposals"]:.1f}',
                *(f'{100 * row["figures"][key]:.2f}' for key in keys.values()),
                f'{row["milliseconds"]:.1f}',
                f'{row["ratio"]:.2f}',
            ]
        )
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    result = measure(args)
    print(
        f'{result["config"]} ({result["weights"]}) on {result["data"]}, '
        f'{result["pictures"]} pictures, one core, torch {result["torch"]}\n'
    )
    print(table(result))
    if args.out:
        args.out.write_text(json.dumps(result, indent=1) + '\n')


if __name__ == '__main__':
    main()

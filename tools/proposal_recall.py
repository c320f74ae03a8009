"""How early the query's person is proposed: RPN alone, and with the QRPN.

For every query and every image of its gallery that shows the person, the
proposals of the RPN and those of RPN + QRPN (of the same network) are put in
order; recall is the share of pairs whose person is covered (IoU 0.5) by one of
the first k.

    python tools/proposal_recall.py configs/qeeps/qeeps_r18_synth.py \\
        work_dirs/qeeps_r18_synth/epoch_4.pth --protocol G100 \\
        --picture proposals.jpg
"""

import argparse
import json
from pathlib import Path


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('config', help='config of a query-guided network')
    parser.add_argument('checkpoint', help='file or URL')
    parser.add_argument('--protocol', required=True, help='such as G100')
    parser.add_argument(
        '--top', type=int, nargs='+', default=[1, 5, 10, 50], metavar='K'
    )
    parser.add_argument('--queries', type=int, help='the first ones alone')
    parser.add_argument('--out', type=Path, help='write a JSON file')
    parser.add_argument('--picture', help='draw some of the pairs')
    parser.add_argument('--cfg-options', nargs='+', default=[])
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from mmps.apis import load_config, load_pair_loop, parse_options
    from mmps.atomic_files import write_text
    from mmps.evaluation.proposal_recall import proposals_of_pairs, recall_at
    from mmps.visualization import save_proposal_sheet

    cfg = load_config(args.config, cfg_options=parse_options(args.cfg_options))
    cfg.test_evaluator.protocols = [args.protocol]
    loop = load_pair_loop(cfg, args.checkpoint)
    cases = proposals_of_pairs(loop, args.protocol, args.queries)
    report = dict(pairs=len(cases))
    print(f'{len(cases)} pairs; the person is among the first k proposals')
    print('k'.rjust(16) + ''.join(f'{k:8}' for k in args.top))
    for name, ranks in (
        ('RPN', [case.rpn_rank for case in cases]),
        ('RPN + QRPN', [case.guided_rank for case in cases]),
    ):
        recall = recall_at(ranks, args.top)
        report[name] = recall
        cells = ''.join(f'{100 * recall[k]:8.1f}' for k in args.top)
        print(name.rjust(16) + cells)
    if args.out:
        write_text(args.out, json.dumps(report, indent=1) + '\n')
    if args.picture:
        dataset = loop.dataloader.dataset
        paths = [
            dataset.get_data_info(image)['img_path']
            for image in range(len(dataset))
        ]
        queries = dataset.metainfo['queries']
        save_proposal_sheet(cases, paths, queries, args.picture)
        print(f'wrote {args.picture}')


if __name__ == '__main__':
    main()

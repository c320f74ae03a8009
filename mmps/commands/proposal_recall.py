"""How early the query's person is proposed: RPN alone, and with the QRPN.

mmps proposal-recall qeeps_r18_synth zoo://qeeps_r18_synth \\
    --protocol G100 --picture proposals.jpg

For every query and every image of its gallery that shows the person, the
proposals of the RPN and those of RPN + QRPN (of the same network) are put in
order; recall is the share of pairs whose person is covered (IoU 0.5) by one of
the first k.
"""

import argparse
from pathlib import Path

from .arguments import add_cfg_options, add_config, at_least


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What may be given."""
    add_config(parser, 'of a query-guided network')
    parser.add_argument('checkpoint', help='file, URL or zoo://NAME')
    parser.add_argument('--protocol', required=True, help='such as G100')
    parser.add_argument(
        '--top',
        type=at_least(1),
        nargs='+',
        default=[1, 5, 10, 50],
        metavar='K',
        help='numbers of proposals [1 5 10 50]',
    )
    parser.add_argument(
        '--queries', type=at_least(1), help='the first ones alone [all]'
    )
    parser.add_argument('--out', type=Path, help='write a JSON file')
    parser.add_argument('--picture', help='draw some of the pairs')
    add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    """Run the pairs, and print the recalls."""
    import json

    from mmps.apis import load_config, load_pair_loop, parse_options
    from mmps.atomic_files import write_text
    from mmps.evaluation.proposal_recall import (
        describe_recalls,
        proposals_of_pairs,
        recalls_of,
    )

    cfg = load_config(args.config, cfg_options=parse_options(args.cfg_options))
    cfg.test_evaluator.protocols = [args.protocol]
    loop = load_pair_loop(cfg, args.checkpoint)
    cases = proposals_of_pairs(loop, args.protocol, args.queries)
    recalls = recalls_of(cases, args.top)
    print(f'{len(cases)} pairs; the person is among the first k proposals')
    print(describe_recalls(recalls))
    if args.out:
        content = dict(pairs=len(cases), **recalls)
        write_text(args.out, json.dumps(content, indent=1) + '\n')
    if args.picture:
        from mmps.visualization import save_proposal_sheet

        dataset = loop.dataloader.dataset
        paths = [
            dataset.get_data_info(image)['img_path']
            for image in range(len(dataset))
        ]
        queries = dataset.metainfo['queries']
        save_proposal_sheet(cases, paths, queries, args.picture)
        print(f'wrote {args.picture}')

"""How much does a query-guided network look at its query?

    python tools/guidance.py configs/qeeps/qeeps_r18_synth.py \\
        zoo://qeeps_r18_synth --protocol G50

For fixed gallery images: how far each block's gates, and the gallery's C4 map,
move from query to query; 0 is a network that looks at the gallery alone. For
images that show the query's person and others: how often the person gets the
higher score from the QRPN, from QSimNet and from the cosine of the
embeddings; 0.5 is blind, 1 is never wrong.
"""

import argparse
import dataclasses
import json
from pathlib import Path


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('config', help='config of a query-guided network')
    parser.add_argument('checkpoint', help='file, URL or zoo://NAME')
    parser.add_argument('--protocol', required=True, help='such as G100')
    parser.add_argument(
        '--queries',
        type=int,
        default=50,
        help='evenly spread over the protocol [%(default)s]',
    )
    parser.add_argument(
        '--images',
        type=int,
        default=8,
        help='gallery images for gates and maps [%(default)s]',
    )
    parser.add_argument('--out', type=Path, help='write a JSON file')
    parser.add_argument(
        '--cfg-options', nargs='+', default=[], metavar='KEY=VALUE'
    )
    args = parser.parse_args()
    if args.queries < 2 or args.images < 1:
        parser.error('--queries is at least 2, --images at least 1')
    return args


def main() -> None:
    args = parse_args()
    from mmps.apis import load_config, load_pair_loop, parse_options
    from mmps.atomic_files import write_text
    from mmps.evaluation.scoring import select
    from mmps.experiments.guidance import describe_guidance, look

    cfg = load_config(args.config, cfg_options=parse_options(args.cfg_options))
    cfg.test_evaluator.protocols = [args.protocol]
    loop = load_pair_loop(cfg, args.checkpoint)
    dataset = loop.dataloader.dataset
    protocol = select(dataset.metainfo['protocols'], [args.protocol])
    guidance = look(
        loop.model,
        dataset,
        protocol[args.protocol],
        args.queries,
        args.images,
    )
    print(describe_guidance(guidance))
    if args.out:
        text = json.dumps(dataclasses.asdict(guidance), indent=1)
        write_text(args.out, text + '\n')


if __name__ == '__main__':
    main()

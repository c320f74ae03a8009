"""How much does a query-guided network look at its query?

mmps guidance qeeps_r18_synth zoo://qeeps_r18_synth --protocol G50

For fixed gallery images: how far each block's gates, and the gallery's C4 map,
move from query to query; 0 is a network that looks at the gallery alone. For
images that show the query's person and others: how often the person gets the
higher score from the QRPN, from QSimNet and from the cosine of the
embeddings; 0.5 is blind, 1 is never wrong.
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
        '--queries',
        type=at_least(2),
        default=50,
        help='evenly spread over the protocol [%(default)s]',
    )
    parser.add_argument(
        '--images',
        type=at_least(1),
        default=8,
        help='gallery images for gates and maps [%(default)s]',
    )
    parser.add_argument('--out', type=Path, help='write a JSON file')
    add_cfg_options(parser)


def run(args: argparse.Namespace) -> None:
    """Measure, and print what was found."""
    import dataclasses
    import json

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

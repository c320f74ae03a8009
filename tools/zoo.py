"""The zoo: what there is, and how to get it.

python tools/zoo.py list
python tools/zoo.py info oim_r18_qeeps50_synth
python tools/zoo.py download oim_r18_qeeps50_synth
python tools/zoo.py verify

`zoo://NAME` then works wherever a checkpoint is asked for: tools/test.py,
load_from, init_cfg, FrozenLUTHook, KnowledgeDistiller, the inferencer; it
downloads by itself what is not in the cache. MMPS_ZOO_URL names mirrors (http,
https or file, with blanks between), MMPS_CACHE the folder of the cache.
"""

import argparse
import sys


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest='command', required=True)
    listing = commands.add_parser('list', help='names, figures, sizes')
    listing.add_argument(
        '--released', action='store_true', help='those with weights alone'
    )
    info = commands.add_parser('info', help='all that is known of one')
    info.add_argument('name')
    download = commands.add_parser(
        'download', help='bring weights and table into the cache'
    )
    download.add_argument('names', nargs='+', metavar='name')
    verify = commands.add_parser(
        'verify', help='bring all released files and check them'
    )
    verify.add_argument('names', nargs='*', metavar='name', help='[all]')
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    from mmps import zoo
    from mmps.errors import InputError
    from mmps.zoo.listing import details, overview

    try:
        index = zoo.load_index()
        if args.command == 'list':
            print(overview(index, args.released))
        elif args.command == 'info':
            print(details(index.find(args.name), index))
        elif args.command == 'download':
            for path in zoo.download(args.names, index):
                print(path)
        else:
            bad = zoo.verify(args.names, index)
            return 1 if bad else 0
    except InputError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())

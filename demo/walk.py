"""Write a synthetic video to search in: people walk past a camera.

    python demo/walk.py walk.mp4 --query query.jpg

``--query`` also writes a picture of another place that shows one of them, and
prints where.
"""

import argparse


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('video', help='.mp4 to write')
    parser.add_argument('--query', help='.jpg or .png to write')
    parser.add_argument('--seed', type=int, default=0, help='[%(default)s]')
    args = parser.parse_args()
    from mmps.synthetic.walk import write_query, write_walk

    write_walk(args.video, seed=args.seed)
    print(f'wrote {args.video}')
    if args.query:
        box = write_query(args.query, seed=args.seed)
        print(f'wrote {args.query}; the person: --box', *box)


if __name__ == '__main__':
    main()

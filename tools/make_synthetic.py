"""``mmps synthetic`` in a checkout: python tools/make_synthetic.py --help."""

from mmps.commands import run_tool

if __name__ == '__main__':
    run_tool('synthetic')

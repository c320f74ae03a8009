"""``mmps convert`` in a checkout: python tools/convert.py --help."""

from mmps.commands import run_tool

if __name__ == '__main__':
    run_tool('convert')

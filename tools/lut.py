"""``mmps lut`` in a checkout: python tools/lut.py --help."""

from mmps.commands import run_tool

if __name__ == '__main__':
    run_tool('lut')

"""``mmps sweep-lambda`` in a checkout: python tools/sweep_lambda.py --help."""

from mmps.commands import run_tool

if __name__ == '__main__':
    run_tool('sweep-lambda')

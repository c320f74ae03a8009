"""``mmps campaign`` in a checkout: python tools/campaign.py --help."""

from mmps.commands import run_tool

if __name__ == '__main__':
    run_tool('campaign')

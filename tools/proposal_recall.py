"""``mmps proposal-recall`` in a checkout: python tools/proposal_recall.py --help."""

from mmps.commands import run_tool

if __name__ == '__main__':
    run_tool('proposal-recall')

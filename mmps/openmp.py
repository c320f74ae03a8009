"""How the threads of torch wait for each other on a CPU.

OpenMP's threads wait busily. Beside any other program they make each other
wait for a core that does nothing: on two cores a training step with two
threads then takes two to six times as long as with one. Asleep they lose
little (``benchmarks/threads.py``; docs/results.md, "Threads").

Imported before torch, which loads OpenMP; it looks at its variables once.
"""

import os
import sys

if 'torch' not in sys.modules:
    os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')

"""How the threads of torch wait for each other on a CPU.

OpenMP's threads wait busily. Beside any other program that makes each other
wait for a core that does nothing: on two cores a training step takes two to
ten times as long as on one thread. Asleep they lose little
(``benchmarks/threads.py``, docs/results.md).

Imported before torch, which loads OpenMP; it looks at its variables once.
"""

import os
import sys

if 'torch' not in sys.modules:
    os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')

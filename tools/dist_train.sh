#!/usr/bin/env bash
# Train on several GPUs, or on as many gloo processes where there is no GPU.
#
#   tools/dist_train.sh CONFIG GPUS [options of tools/train.py]
#
# Several machines: on each of M machines, with NODE_RANK 0 .. M-1,
#   NNODES=M NODE_RANK=0 MASTER_ADDR=first.machine PORT=29500 \
#       tools/dist_train.sh CONFIG GPUS_PER_MACHINE
set -euo pipefail
if [ $# -lt 2 ]; then
    sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
exec "${PYTHON:-python}" "$(dirname "$0")/torchrun.py" \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$2" \
    "$(dirname "$0")/train.py" "$1" --launcher pytorch "${@:3}"

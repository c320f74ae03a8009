#!/usr/bin/env bash
# Train through Slurm, in a batch job that goes on after its time limit.
#
#   tools/slurm_train.sh PARTITION JOB_NAME CONFIG [options of tools/train.py]
#
# SIGNAL_SECONDS (180) before its time is up, the job saves and ends, is put
# back into the queue and resumes, up to REQUEUES (100) times. It resumes, too,
# after it was preempted or its node has failed. scancel saves and ends it.
#
# GPUS (8), GPUS_PER_NODE (8), CPUS_PER_TASK (5), SBATCH_ARGS (such as
# --time=08:00:00) and SRUN_ARGS are read from the environment.
set -euo pipefail
if [ $# -lt 3 ]; then
    sed -n '2,11s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
GPUS_PER_NODE=${GPUS_PER_NODE:-8}
here=$(dirname "$0")
# SBATCH_ARGS is a list of words
# shellcheck disable=SC2086
exec sbatch --partition="$1" --job-name="$2" \
    --gres="gpu:${GPUS_PER_NODE}" \
    --ntasks="${GPUS:-8}" \
    --ntasks-per-node="$GPUS_PER_NODE" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" \
    --signal="USR1@${SIGNAL_SECONDS:-180}" \
    --requeue --open-mode=append \
    ${SBATCH_ARGS:-} \
    "$here/slurm_job.sh" \
    "${PYTHON:-python}" -u "$here/train.py" "$3" --launcher slurm "${@:4}"

#!/usr/bin/env bash
# The batch job of tools/slurm_train.sh, which submits it.
#
#   tools/slurm_job.sh COMMAND [ARGUMENT...]
#
# Runs the command on all tasks, with --resume if Slurm has started the job
# again, and puts the job back into the queue if SIGUSR1 has stopped it.
set -uo pipefail
restarts=${SLURM_RESTART_COUNT:-0}
resume=()
if [ "$restarts" -gt 0 ]; then resume=(--resume); fi
# SRUN_ARGS is a list of words; srun does not inherit --cpus-per-task
# shellcheck disable=SC2086
srun --kill-on-bad-exit=1 --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" \
    ${SRUN_ARGS:-} "$@" "${resume[@]}"
code=$?
if [ "$code" -eq 138 ]; then # 128 + SIGUSR1, of tools/train.py
    if [ "$restarts" -lt "${REQUEUES:-100}" ]; then
        echo "Time is nearly up: back into the queue, to resume from there."
        scontrol requeue "$SLURM_JOB_ID"
    else
        echo "Time is nearly up, after $restarts restarts: go on with --resume."
    fi
fi
exit "$code"

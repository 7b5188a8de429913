#!/bin/bash
# The paper's set-up under Slurm: 32 V100s (section 4.2), here 4 machines of 8, one process per machine.
#
#   CORPUS=<prepared shards> OUTPUT_DIR=<folder of a shared file system> sbatch configs/launch/slurm.sh
#
# Submit from the repository's root, with the Python environment active; both folders must be seen by every machine.
# The program reads which worker it is from the variables that srun sets: no TF_CONFIG is needed.
# The same command continues a run, however it ended. Not run by us on 32 V100s: try it with few --steps first.
#
#SBATCH --job-name=spanbert_large
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --gres=gpu:v100:8
#SBATCH --cpus-per-task=32
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
# A warning 300 s before the time is over, enough to write a checkpoint of 4 GB. B: sends it to this shell, which hands
# it to srun, and srun to every Python process: one path for the warning and for the SIGTERM of a preemption.
#SBATCH --signal=B:USR1@300

set -uo pipefail

PREEMPTED=75    # --preemption_exit_code: a checkpoint was written on request
WORKER_LOST=76  # a worker vanished and the others ended; all continue from the last checkpoint
INTERRUPTED=130 # Ctrl-C, SIGINT: on purpose
MAX_RESTARTS=100 # a bug that looks like a lost worker must not restart without end

: "${CORPUS:?names the prepared shards}" "${OUTPUT_DIR:?names a folder of a shared file system}"

# A step is 256 rows: 8 on each of 32 GPUs, in 2 parts of 4 rows, which fit 16 GB (computed, not measured; with 32 GB
# set --accumulation_steps=1). Since Slurm 22.05 srun does not take --cpus-per-task from the job.
# --kill-on-bad-exit=0: the other workers notice it themselves, name the lost worker, and end with 76.
srun --kill-on-bad-exit=0 --wait=0 --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" \
  python -m spanbert_keras.pretrain \
  --flagfile=configs/large.flags \
  --distribution=multi_worker \
  --precision=mixed_float16 \
  --accumulation_steps=2 \
  --corpus="$CORPUS" \
  --output_dir="$OUTPUT_DIR" &
step=$!

# srun passes USR1 and TERM on to every Python process. It runs in the background because bash handles a signal only
# between commands, and `wait` is the one command that a signal ends early, so it is in a loop.
trap 'kill -USR1 "$step" 2>/dev/null' USR1
trap 'kill -TERM "$step" 2>/dev/null' TERM
wait "$step"
while kill -0 "$step" 2>/dev/null; do
  wait "$step"
done
wait "$step"
code=$? # the highest of the workers' exit codes

# Above 128 a signal killed a worker (137 for memory, 139 a crash), which hides the others' 76. Not requeued: 1 and 2,
# invalid user input (all workers end with it), and 70, a bug or a device error in all workers.
restart=0
if ((code == PREEMPTED || code == WORKER_LOST || (code > 128 && code != INTERRUPTED))); then
  restart=1
fi
if ((restart && ${SLURM_RESTART_COUNT:-0} < MAX_RESTARTS)); then
  echo "Exit code $code: requeued; the run continues from its last checkpoint."
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"

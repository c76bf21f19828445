#!/bin/bash
# A Slurm cluster of one node on the loopback interface: runs one batch script to its end, then ends itself.
#   slurm_one_node.sh FOLDER JOB.sh
# Needs root and Debian's packages: apt-get install --no-install-recommends slurmctld slurmd slurm-client munge
# FOLDER gets configuration, state and logs. Prints one line a task: its number, state and exit code; 1 when the job is
# not at its end after $SLURM_WITHIN seconds (180).
set -euo pipefail
folder=$(realpath "$1") job=$(realpath "$2") me=$(id -un)
mkdir -p "$folder/state"
spool=$(mktemp -d /tmp/gsh-slurm.XXXXXX) # sockets lie in it, whose paths are short
pids=()
finish() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$spool"
}
run() { exec setpriv --pdeathsig TERM "$@"; } # no daemon outlives this script, however it ends
trap finish EXIT

dd if=/dev/urandom of="$folder/munge.key" bs=128 count=1 status=none
chmod 600 "$folder/munge.key"
run munged --foreground --force --key-file="$folder/munge.key" --socket="$spool/munge.socket" \
  --pid-file="$folder/munged.pid" --log-file="$folder/munged.log" --seed-file="$folder/munge.seed" &
pids+=($!)

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
cat > "$folder/slurm.conf" <<CONF
ClusterName=gshead
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort=$(free_port)
SlurmdPort=$(free_port)
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmUser=$me
SlurmdUser=$me
AuthType=auth/munge
AuthInfo=socket=$spool/munge.socket
StateSaveLocation=$folder/state
SlurmdSpoolDir=$spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
KillWait=5
MinJobAge=3600
SchedulerParameters=sched_min_interval=0,bf_interval=1
NodeName=localhost NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
export SLURM_CONF="$folder/slurm.conf"
run slurmctld -D -f "$SLURM_CONF" -L "$folder/slurmctld.log" 2> "$folder/slurmctld.err" &
pids+=($!)
run slurmd -D -N localhost -f "$SLURM_CONF" -L "$folder/slurmd.log" 2> "$folder/slurmd.err" &
pids+=($!)
for _ in $(seq 120); do
  sinfo -h -o %T 2>/dev/null | grep -q idle && break
  sleep 0.5
done
sinfo -h -o "node %N: %T, %c cores" >&2
number=$(cd "$folder" && sbatch --parsable "$job")
end=$((SECONDS + ${SLURM_WITHIN:-180}))
while squeue -h -j "$number" -o %T 2>/dev/null | grep -qvE "COMPLETED|FAILED|CANCELLED|TIMEOUT|NODE_FAIL"; do
  ((SECONDS < end)) || { squeue >&2; tail -n 5 "$folder"/slurm*.log >&2; exit 1; }
  sleep 0.5
done
scontrol --oneliner show job "$number" | sed -E 's/.*ArrayTaskId=([0-9]+) .*JobState=([A-Z_]+) .*ExitCode=([0-9]+:[0-9]+).*/task \1 \2 \3/'

# Becomes a command of a cluster's engine: $1 the seconds that it may take, $2 its time zone, $3 the engine's
# configuration file (empty: its default), then the command. It prints all on one stream. Its status is 137 where
# its time was over.
#
# What hangs is killed: it may have done its work all the same.
seconds=$1
# A job has these too, as its first environment.
export TZ="$2" LC_ALL=C
[ -z "$3" ] || export SLURM_CONF="$3"
shift 3
# Times as seconds since 1970.
[ "$1" != squeue ] || export SLURM_TIME_FORMAT=%s
# A shell that waited for it would be one process more for each start.
exec timeout -s KILL "$seconds" "$@" 2>&1

# The first part of a job's batch script: removes what the environment of the one who submitted it, or of
# the node, has left. The engine's own variables stay, those of devices that it has chosen too.
# The launcher has the listener's, which is clean already.
[ "${1-}" = launch ] || for job_worker_line in $(
  # A line for each: no value has more than one, nor anything that a shell would expand. It is one process.
  LC_ALL=C tr '\000\001-\057\072-\074\076-\100\133-\136\140\173-\377' '\n.' <"/proc/$$/environ"
); do
  case ${job_worker_line%%=*} in
    SLURM* | CUDA_VISIBLE_DEVICES | ROCR_VISIBLE_DEVICES | ZE_AFFINITY_MASK | GPU_DEVICE_ORDINAL | TMPDIR) ;;
    # The PATH is set already; shells do not let go of the others.
    PATH | _ | UID | EUID | PPID | BASH* | SHELLOPTS | PWD | IFS) ;;
    '' | [0-9]* | *[!0-9A-Z_a-z]*) ;;
    *) unset "${job_worker_line%%=*}" ;;
  esac
done
unset job_worker_line

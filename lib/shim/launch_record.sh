# Part of the launcher: creates the launch record in $folder, by which the job is this launcher's, and
# opens it as descriptor 9. It is filled with blanks, so that there is always room for the exit status.
begin_launch_record() {
  set -C
  printf '%4096s' '' >"$folder/launch" || {
    line=
    read -r line <"$folder/launch"
    # A server has withdrawn the start: by an empty file, where the disk is full.
    case $line in *[!\ ]*) exit 0 ;; esac
    set +C
    # The shell hides the kernel's reason, so a program writes another file to get it: less than its
    # buffer takes, else it would not tell either.
    reason=$({ LC_ALL=C env printf '%4000s' '' >"$folder/refused"; } 2>&1)
    refuse launch-record "${reason##*: }"
  }
  set +C
  exec 9<>"$folder/launch"
  printf 'launcher %s\n' "$myself" >&9
}

# Prints the file $1, which tells whether a process is left in a job's groups; nothing where it is gone.
# cgroup.procs (cgroup v1) tells of one group: the files of the groups that the job has made in it follow.
# Fails where a file is there and cannot be opened: the host may have no descriptor left.
print_file() {
  [ -e "$1" ] || return 0
  while IFS= read -r line; do printf '%s\n' "$line"; done <"$1"
}

print_processes() { # GROUP
  print_file "$1/cgroup.procs" || exit
  for inner in "$1"/*/; do [ ! -d "$inner" ] || print_processes "${inner%/}"; done
}

case $1 in
  */cgroup.procs) print_processes "${1%/*}" ;;
  *) print_file "$1" ;;
esac

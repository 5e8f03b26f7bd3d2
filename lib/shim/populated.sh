# Tells whether a process is left: prints the file $1 (of a job's tracking group), and the processes of
# the groups that follow, and of groups that the job has made in them; nothing where they are gone.
# Fails where one is there and cannot be opened: the host may have no descriptor left.
print_file() { # FILE
  [ -e "$1" ] || return 0
  exec <"$1"
  while IFS= read -r line; do printf '%s\n' "$line"; done
}

print_processes() { # GROUP
  print_file "$1/cgroup.procs"
  for inner in "$1"/*/; do [ ! -d "$inner" ] || print_processes "$inner"; done
}

print_file "$1"
shift
for group; do print_processes "$group"; done
:

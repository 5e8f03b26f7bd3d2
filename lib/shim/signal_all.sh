# Part of the scripts that send signals. Globbing must be on. Sets $reached where there was a process.
signal_all() { # SIGNAL GROUP, with the groups that a job has made in it
  while read -r process; do kill -s "$1" "$process" && reached=1; done <"$2/cgroup.procs"
  for inner in "$2"/*/; do [ ! -d "$inner" ] || signal_all "$1" "$inner"; done
}

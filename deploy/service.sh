# What the install script and the Debian package's scripts know of the service. Sourced, by /bin/sh.

WORKER=job-worker.service
JOBS=job-worker-jobs.service

# What a server cannot start without, of the folder CONFIG.
missing_certificates() { # CONFIG
  for name in ca.crt server.crt server.key; do
    [ -e "$1/$name" ] || printf ' %s' "$name"
  done
}

# The ids of the jobs that run, one a line.
running_jobs() {
  [ "$(systemctl is-active $JOBS 2>/dev/null || true)" = active ] || return 0
  group=$(systemctl show --property ControlGroup --value $JOBS)
  find /sys/fs/cgroup/*"$group" /sys/fs/cgroup"$group" -path '*/jobs/*-*' -prune -print 2>/dev/null |
    sed 's|.*/||' | sort -u
}

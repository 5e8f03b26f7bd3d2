#!/bin/sh
# Installs the job worker as a systemd service, or upgrades it: jobs that run go on.
#
# Run it on the worker's host as root, from a folder that holds deploy/ and bin/ as the build left
# them. Files that an operator edits (limits, settings, certificates) are never overwritten.
set -eu
umask 022

BINARIES=/usr/local/bin
CONFIG=/etc/job-worker
UNITS=/etc/systemd/system
WORKER=job-worker.service
JOBS=job-worker-jobs.service

usage() {
  cat <<TEXT
Usage: install.sh [--no-start]
       install.sh --uninstall [--stop-jobs]

Installs or upgrades the job worker on this host: binaries in $BINARIES, settings in
$CONFIG, units in $UNITS. Jobs that run go on.

  --no-start   put the files in place, and start or restart nothing
  --uninstall  stop the service and remove binaries and units; certificates, settings, records
               and output stay
  --stop-jobs  with --uninstall: end the jobs that still run (without it they are a refusal)
  -h, --help   print this help

Exit status: 0 done, 1 not done (the reason is said), 2 wrong usage.
TEXT
}

say() { printf '%s\n' "install: $*"; }

fail() {
  printf '%s\n' "install.sh: $*" >&2
  exit 1
}

misuse() {
  printf '%s\n' "install.sh: $*" >&2
  usage >&2
  exit 2
}

check_host() {
  [ "$(id -u)" = 0 ] || fail "must run as root: sudo $0"
  [ -d /run/systemd/system ] ||
    fail "systemd does not run on this host; start worker-server by what does (docs/guide.md#without-systemd)"
}

check_files() {
  [ "$(uname -m)" = x86_64 ] || fail "the binaries are for x86-64, and this host is $(uname -m)"
  for file in bin/worker-server bin/worker-client deploy/$WORKER deploy/$JOBS; do
    [ -f "$source/$file" ] ||
      fail "$source/$file is missing: build first, and copy bin and deploy beside each other"
  done
  "$source/bin/worker-server" --version >/dev/null ||
    fail "$source/bin/worker-server does not run on this host (see the message above)"
}

# By rename, so that a crash leaves the old file or the new one, and a program that runs stays whole.
put() { # SOURCE TARGET MODE
  cp -- "$1" "$2.new"
  chmod "$3" "$2.new"
  mv -f -- "$2.new" "$2"
}

put_once() { # TARGET LINE...
  target=$1
  shift
  [ -e "$target" ] && return
  printf '%s\n' "$@" >"$target.new"
  mv -- "$target.new" "$target"
  say "wrote $target: $1"
}

put_files() {
  mkdir -p "$BINARIES" "$CONFIG/limits"
  for name in worker-server worker-client; do
    put "$source/bin/$name" "$BINARIES/$name" 755
  done
  put_once "$CONFIG/limits/cpu_limit.txt" 100%
  put_once "$CONFIG/limits/memory_limit.txt" 1G
  put_once "$CONFIG/limits/disk_io_limit.txt" 50MB/s
  put_once "$CONFIG/server.env" \
    "# Settings of worker-server: NAME=VALUE lines; all names are in worker-server --help." \
    "# Restart job-worker after a change; jobs that run go on." \
    "JOB_WORKER_LISTEN=0.0.0.0:50051"
  for name in $WORKER $JOBS; do put "$source/deploy/$name" "$UNITS/$name" 644; done
  [ ! -e "$CONFIG/server.key" ] || chmod 600 "$CONFIG/server.key"
  say "$("$BINARIES/worker-server" --version | sed 's/^/worker-server /') is in $BINARIES"
}

missing_certificates() {
  for name in ca.crt server.crt server.key; do
    [ -e "$CONFIG/$name" ] || printf ' %s' "$name"
  done
}

start_service() {
  systemctl daemon-reload
  systemctl --quiet enable $WORKER
  missing=$(missing_certificates)
  if [ -n "$missing" ]; then
    say "not started: put$missing into $CONFIG (made elsewhere by worker-certs init and issue),"
    say "and run: systemctl start job-worker"
    exit 1
  fi
  # Only the server ends here; the unit that holds the jobs is not touched.
  systemctl restart $WORKER ||
    fail "the service does not start: see journalctl -u job-worker, and worker-server doctor"
  say "job-worker runs; what to do next: docs/guide.md"
}

running_jobs() {
  [ "$(systemctl is-active $JOBS || true)" = active ] || return 0
  group=$(systemctl show --property ControlGroup --value $JOBS)
  find /sys/fs/cgroup/*"$group" /sys/fs/cgroup"$group" -path '*/jobs/*-*' -prune -print 2>/dev/null |
    sed 's|.*/||' | sort -u
}

uninstall() {
  jobs=$(running_jobs)
  if [ -n "$jobs" ] && [ -z "$stop_jobs" ]; then
    printf '%s\n' "$jobs" >&2
    fail "these jobs still run: stop them, wait for them, or use --uninstall --stop-jobs"
  fi
  for name in $WORKER $JOBS; do
    [ -e "$UNITS/$name" ] || continue
    systemctl --quiet disable --now $name || fail "$name cannot be stopped"
    rm -f -- "$UNITS/$name"
  done
  systemctl daemon-reload
  rm -f -- "$BINARIES/worker-server" "$BINARIES/worker-client"
  say "removed; certificates and settings stay in $CONFIG, records and output where they were"
}

start=yes remove='' stop_jobs=''
for option; do
  case $option in
    --no-start) start='' ;;
    --uninstall) remove=yes ;;
    --stop-jobs) stop_jobs=yes ;;
    -h | --help)
      usage
      exit 0
      ;;
    *) misuse "unknown option $option" ;;
  esac
done
[ -z "$stop_jobs" ] || [ -n "$remove" ] || misuse "--stop-jobs goes with --uninstall"
source=$(cd -- "$(dirname -- "$0")/.." && pwd)

check_host
if [ -n "$remove" ]; then
  uninstall
  exit 0
fi
check_files
put_files
if [ -n "$start" ]; then start_service; else systemctl daemon-reload; fi

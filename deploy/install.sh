#!/bin/sh
# Installs the job worker as a systemd service, or upgrades it: jobs that run go on.
#
# Run it on the worker's host as root, from a folder that holds deploy/ and bin/ as the build left
# them, or as a release has them. Files that an operator edits (limits, settings, certificates) are
# never overwritten.
set -eu
umask 022

source=$(cd -- "$(dirname -- "$0")/.." && pwd)
. "$source/deploy/service.sh"

# Where files go below another folder, nothing of this host is touched.
ROOT=${DESTDIR:-}
BINARIES=/usr/local/bin
SHARE=/usr/local/share
CONFIG=/etc/job-worker
UNITS=/etc/systemd/system
PACKAGE=/usr/share/job-worker/service.sh

usage() {
  cat <<TEXT
Usage: install.sh [--no-start]
       install.sh --uninstall [--stop-jobs]

Installs or upgrades the job worker on this host: binaries in $BINARIES, manual pages
and completion in $SHARE, settings in $CONFIG, units in $UNITS.
Jobs that run go on. With the variable DESTDIR the files go below that folder, as they would below /,
and nothing is started or stopped.

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
  [ -z "$ROOT" ] || return 0
  [ ! -e $PACKAGE ] ||
    fail "the job worker is here from its Debian package: upgrade or remove that (apt)"
  [ "$(id -u)" = 0 ] || fail "must run as root: sudo $0"
  [ -d /run/systemd/system ] ||
    fail "systemd does not run on this host; start worker-server by what does (docs/guide.md#without-systemd)"
}

# The processor that a program is for, in the words of uname -m: elf(5), e_machine.
processor_of() {
  case $(od -An -tu2 -j18 -N2 "$1" | tr -d ' ') in
    62) echo x86_64 ;;
    183) echo aarch64 ;;
    *) echo another ;;
  esac
}

check_files() {
  for file in bin/worker-server bin/worker-client deploy/$WORKER deploy/$JOBS; do
    [ -f "$source/$file" ] ||
      fail "$source/$file is missing: build first, and copy bin and deploy beside each other"
  done
  [ -z "$ROOT" ] || return 0
  processor=$(processor_of "$source/bin/worker-server")
  [ "$processor" = "$(uname -m)" ] ||
    fail "the binaries are for a processor of kind $processor, and this host is $(uname -m)"
  "$source/bin/worker-server" --version >/dev/null ||
    fail "$source/bin/worker-server does not run on this host (see the message above)"
}

# By rename, so that a crash leaves the old file or the new one, and a program that runs stays whole.
put() { # SOURCE TARGET MODE
  cp -- "$1" "$2.new"
  chmod "$3" "$2.new"
  mv -f -- "$2.new" "$2"
}

put_once() { # NAME, of a file that an operator edits
  target=$ROOT$CONFIG/$1
  [ -e "$target" ] && return
  put "$source/deploy/config/$1" "$target" 644
  say "wrote $target: $(tail -n 1 "$target")"
}

# What only a release has, by its place below share: man/man8/worker-server.8, say.
shared_files() {
  [ ! -d "$source/share" ] || (cd -- "$source/share" && find . -type f)
}

put_files() {
  mkdir -p "$ROOT$BINARIES" "$ROOT$CONFIG/limits" "$ROOT$UNITS"
  for name in worker-server worker-client; do
    put "$source/bin/$name" "$ROOT$BINARIES/$name" 755
  done
  for name in cpu memory disk_io; do put_once "limits/${name}_limit.txt"; done
  put_once server.env
  for name in $WORKER $JOBS; do put "$source/deploy/$name" "$ROOT$UNITS/$name" 644; done
  for name in $(shared_files); do
    mkdir -p "$(dirname -- "$ROOT$SHARE/$name")"
    put "$source/share/$name" "$ROOT$SHARE/$name" 644
  done
  [ ! -e "$ROOT$CONFIG/server.key" ] || chmod 600 "$ROOT$CONFIG/server.key"
  [ -n "$ROOT" ] ||
    say "$("$BINARIES/worker-server" --version | sed 's/^/worker-server /') is in $BINARIES"
}

start_service() {
  systemctl daemon-reload
  systemctl --quiet enable $WORKER
  missing=$(missing_certificates "$CONFIG")
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

remove_files() {
  for name in $WORKER $JOBS; do rm -f -- "$ROOT$UNITS/$name"; done
  rm -f -- "$ROOT$BINARIES/worker-server" "$ROOT$BINARIES/worker-client"
  for name in $(shared_files); do rm -f -- "$ROOT$SHARE/$name"; done
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
  done
  remove_files
  systemctl daemon-reload
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

check_host
if [ -n "$remove" ]; then
  if [ -n "$ROOT" ]; then remove_files; else uninstall; fi
  exit 0
fi
check_files
put_files
[ -z "$ROOT" ] || exit 0
if [ -n "$start" ]; then start_service; else systemctl daemon-reload; fi

#!/bin/sh
# Runs the file of tests that the kernel's command line names as `tests` within the guest, then the program
# that it names as `then`, where it does. The lines that begin with `guest:` are for the host.
for word in $(cat /proc/cmdline); do
  case $word in tests=* | then=*) export "$word" ;; esac
done
cd /opt/job-worker/tests/boots || exit
export NO_COLOR=1 NO_UPDATE_CHECK=1 DENO_DIR=/var/cache/deno
export JOB_WORKER_TEST_PKI=/opt/job-worker/pki JOB_WORKER_TEST_DEADLINE_MS=120000
# By a pipe, since Deno drops what a slow terminal does not take at once.
{
  ../../deno test --allow-all --no-check --no-config --no-lock --no-remote --no-npm \
    --filter="$(cat ../../filter)" "$tests.js"
  echo "guest: the tests ended with status $?"
  [ -z "$then" ] ||
    ../../deno run --allow-all --no-check --no-config --no-lock --no-remote --no-npm "$then.js"
} 2>&1 | cat
# Waits until the serial line has taken everything.
stty -F /dev/console onlcr

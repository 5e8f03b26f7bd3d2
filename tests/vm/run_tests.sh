#!/bin/sh
# Runs a file of tests within the guest. The last line is for the host.
cd /opt/job-worker/tests/boots || exit
export NO_COLOR=1 NO_UPDATE_CHECK=1 DENO_DIR=/var/cache/deno
export JOB_WORKER_TEST_PKI=/opt/job-worker/pki JOB_WORKER_TEST_DEADLINE_MS=120000
# By a pipe, since Deno drops what a slow terminal does not take at once.
{
  ../../deno test --allow-all --no-check --no-config --no-lock --no-remote --no-npm \
    --filter="$(cat ../../filter)" "$tests.js"
  echo "guest: the tests ended with status $?"
} 2>&1 | cat
# Waits until the serial line has taken everything.
stty -F /dev/console onlcr

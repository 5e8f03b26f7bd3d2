#!/bin/sh
# The guest's init where there is no systemd: mounts what a Linux host has, runs the tests, and reboots.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs tmpfs /run
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
busybox ip link set lo up
# Without room to swap to, a swap limit could not be seen to hold.
[ -e /swap ] || { fallocate -l 128M /swap && chmod 600 /swap && mkswap /swap >/dev/null; }
swapon /swap
/opt/job-worker/run_tests.sh
sync
echo b >/proc/sysrq-trigger

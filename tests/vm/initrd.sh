#!/bin/sh
# The first program of the guest: loads what drivers the disk needs, mounts the disk, and hands over to the
# program that the kernel's command line names as `entry`.
set -e
export PATH=/bin
/bin/busybox --install -s /bin
mount -t devtmpfs devtmpfs /dev
mount -t proc proc /proc
mount -t sysfs sysfs /sys
for module in virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk; do
  [ ! -e "/modules/$module.ko" ] || insmod "/modules/$module.ko"
done
until [ -b /dev/vda1 ]; do sleep 0.1; done
mount -t ext4 /dev/vda1 /root
mount -o move /dev /root/dev
mount -o move /proc /root/proc
mount -o move /sys /root/sys
exec switch_root /root "$entry"

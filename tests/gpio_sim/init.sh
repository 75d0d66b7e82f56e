#!/bin/busybox sh
# First process of the virtual machine: loads the modules, puts the host's files (read only) under /host, and runs the
# tests there with what /job.env names. The last line tells the exit code; whatever fails ends the machine.
PATH=/bin
/bin/busybox mkdir -p /proc /sys /dev /host
/bin/busybox --install -s /bin

finish() {
  echo "gpio-sim exit $1"
  poweroff -f
}

mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sysfs /sys
for module in /modules/*; do
  insmod "$module" || { echo "cannot load $module"; finish 70; }
done
mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=262144 host /host || finish 71
mount -t configfs configfs /sys/kernel/config || finish 72
mkdir -p /dev/shm
mount -t tmpfs tmpfs /dev/shm
for tree in dev proc sys; do mount -o rbind "/$tree" "/host/$tree" || mount --bind "/$tree" "/host/$tree" || finish 73; done
ip link set lo up
. /job.env
echo "gpio-sim start"
cd /host || finish 74
HOME=/dev/shm TMPDIR=/dev/shm PYTHONDONTWRITEBYTECODE=1 LANG=C.UTF-8 \
  chroot /host /bin/sh -c 'cd "$1" && shift && exec "$@"' sh "$JOB_FOLDER" "$JOB_PYTHON" -m pytest \
  -p no:cacheprovider -p no:xdist -p no:hypothesispytest -rs --color=no -v --tb=short -o addopts= --import-mode=importlib tests/gpio_sim -m gpiosim $JOB_ARGUMENTS
finish $?
